"""What `tollgate` shows of a running gateway: its events as they come, positions, decisions, the settings that rule."""

from collections.abc import Iterator

from google.protobuf.json_format import MessageToJson
from trading.v1 import consensus_pb2, consensus_pb2_grpc, system_pb2, system_pb2_grpc, trade_pb2, trade_pb2_grpc

from gateway.rpc.cli_calls import Connection, Reply, reply


class ViewClient(Connection):
    """A connection to one gateway; every method raises CallFailedError as its answers are taken."""

    part = "gateway"
    setting = "TOLLGATE_ADDR"

    def watch(self) -> Iterator[Reply]:
        """What is recorded from now on, one line each, for ever."""
        stub = system_pb2_grpc.SystemServiceStub(self.channel)
        for event in self.stream(stub.WatchEvents, system_pb2.WatchEventsRequest()):
            yield Reply(lines=[_event_line(event)], json=MessageToJson(event, indent=None))

    def positions(self) -> Iterator[Reply]:
        """What is held, and what it has earned."""
        stub = trade_pb2_grpc.TradeServiceStub(self.channel)
        found = self.call(stub.ListPositions, trade_pb2.ListPositionsRequest())
        yield reply(found, [*_position_lines(found), *_money_lines(found)])

    def decisions(self, limit: int) -> Iterator[Reply]:
        """The newest decisions."""
        stub = consensus_pb2_grpc.ConsensusServiceStub(self.channel)
        found = self.call(stub.ListDecisions, consensus_pb2.ListDecisionsRequest(page_size=limit))
        yield reply(found, [_decision_line(recorded) for recorded in found.decisions] or ["no decisions"])

    def config(self) -> Iterator[Reply]:
        """The settings that rule orders."""
        stub = system_pb2_grpc.SystemServiceStub(self.channel)
        config = self.call(stub.GetHealth, system_pb2.GetHealthRequest()).config
        names = [field.name for field in config.DESCRIPTOR.fields]
        width = max(len(name) for name in names)
        yield reply(config, [f"{name:<{width}}  {_told(getattr(config, name))}" for name in names])


def _event_line(event: system_pb2.WatchEventsResponse) -> str:
    when = event.time.ToJsonString()
    told = (f"{event.kind:<9}", event.state, event.symbol, event.subject)
    return "  ".join([when, f"{event.sequence:>8}", *(part for part in told if part)])


def _decision_line(recorded: consensus_pb2.RecordedDecision) -> str:
    said = recorded.decision
    verdict = "allowed" if said.allow else f"forbidden: {', '.join(said.reasons)}"
    return (
        f"{recorded.time.ToJsonString()}  {said.decision_id}  {said.signal:<5} {recorded.symbol}  confidence"
        f" {said.confidence:.3f} of {said.threshold:.3f}  {verdict}"
    )


def _position_lines(found: trade_pb2.ListPositionsResponse) -> list[str]:
    if not found.positions:
        return ["no positions"]
    head = f"{'symbol':<12}{'side':<6}{'qty':>12}{'entry':>14}{'mark':>14}{'notional':>14}{'open p&l':>12}"
    return [head, *(_position_line(held) for held in found.positions)]


def _position_line(held: trade_pb2.Position) -> str:
    mark = f"{held.mark_price:.8g}" if held.mark_price else "not known"
    return (
        f"{held.symbol:<12}{held.side:<6}{held.qty:>12g}{held.entry_price:>14.8g}{mark:>14}"
        f"{held.notional_usd:>14.2f}{held.unrealised_pnl_usd:>+12.2f}"
    )


def _money_lines(found: trade_pb2.ListPositionsResponse) -> list[str]:
    earned = f"realised {found.realised_pnl_usd:+.2f} USD, open {found.unrealised_pnl_usd:+.2f} USD"
    return [f"equity {found.equity_usd:.2f} USD, {earned}, fees {found.fees_usd:.2f} USD"]


def _told(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
