"use strict";
// Shows /health, read every 2 seconds. Text reaches the page by textContent alone, never as HTML.

const PERIOD_MS = 2000;
const TIMEOUT_MS = 3000; // longer than the promise of an answer in a second when a part is down

const usd = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", maximumFractionDigits: 0 });
const percent = new Intl.NumberFormat("en-US", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const count = new Intl.NumberFormat("en-US");
const at = (id) => document.getElementById(id);

let answeredAt = null;

async function poll() {
  try {
    const response = await fetch("/health", { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    const body = await response.json();
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    answeredAt = Date.now();
    show(body);
  } catch (error) {
    showUnreachable(error);
  }
  tick();
  setTimeout(poll, PERIOD_MS);
}

function show(health) {
  const troubles = advise(health);
  const doubtful = health.risk.state !== "active" || health.calibration.state !== "ok";
  verdict(health.ok ? (doubtful ? "warn" : "good") : "bad", title(health), troubles);
  at("facts").hidden = false;
  at("facts").classList.remove("stale");
  at("mode").hidden = false;
  text("mode", health.mode);
  at("mode").classList.toggle("live", health.mode === "live");
  text("version", `Tollgate ${health.version}.`);
  showRisk(health.risk);
  showWatch(health.calibration, health.config);
  badge("model-ok", health.model.ok ? "good" : "bad", health.model.ok ? "answers" : "silent");
  text("model-version", health.model.version || "unknown");
  badge("market-ok", health.marketData.ok ? "good" : "bad", health.marketData.ok ? "fresh" : "stale");
  text("market-age", age(health.marketData.ageMs));
  text("market-source", health.marketData.source);
  badge("journal-ok", health.journal.ok ? "good" : "bad", health.journal.ok ? "written" : "not written");
  text("journal-records", count.format(health.journal.records));
  showRate(health.rateLimit);
  showConfig(health.config);
}

function title(health) {
  if (!health.ok) return "Not fit for work";
  if (health.risk.state !== "active") return `Works, but trading is ${health.risk.state}`;
  if (health.calibration.state === "abstaining") return "Works, but no decision is allowed";
  if (health.calibration.state !== "ok") return "Works, but the confidence is in doubt";
  return "Everything works";
}

// What is wrong, what it means, and what to do: [sentence, command] for each.
function advise(health) {
  const troubles = [];
  const origin = location.origin;
  if (!health.model.ok) troubles.push(["The model service does not answer: consensus calls are refused with 503 until it is back. The gateway retries by itself.", "docker logs model-service"]);
  if (!health.marketData.ok) troubles.push(["A price is missing or too old: orders are refused with 503.", "docker logs backend | grep ERROR"]);
  if (!health.journal.ok) troubles.push(["The journal cannot be written: orders are refused with 503, nothing is sent. Look for a full disk or a locked file.", "df -h"]);
  if (health.risk.state === "locked") troubles.push(["The drawdown lock stands: only reduce-only orders pass. Find the cause first, then lift it.", `curl -X POST ${origin}/api/risk/reset`]);
  if (health.risk.state === "halted") troubles.push(["An operator has halted trading: no order passes.", `tollgate resume --reason "why it is safe again"`]);
  if (health.promotion?.override) troubles.push([`Live trading runs without a promotion, on a person's word: ${health.promotion.overrideReason}`, "tollgate evidence"]);
  if (health.promotion?.refusal) troubles.push([`No order that opens a position may go out: ${health.promotion.refusal}.`, "tollgate evidence"]);
  const inquiry = "tollgate calibration";
  if (health.calibration.state === "warned") troubles.push(["What came of decisions speaks against the stated confidence. Nothing is changed yet; look at the figures.", inquiry]);
  if (health.calibration.state === "raised") troubles.push([`The confidence promises too much: ${percent.format(health.calibration.effectiveThreshold)} is asked for until it keeps its promise again. Look at the figures, and think of an earlier model.`, inquiry]);
  if (health.calibration.state === "abstaining") troubles.push(["The confidence has not kept its promise: no decision is allowed, and orders that open are refused with 412. Reduce-only orders pass. Decisions go on being judged, and the gateway comes back by itself when they prove right; another model version begins afresh.", inquiry]);
  return troubles;
}

function showUnreachable(error) {
  const why = error.name === "TimeoutError" ? "no answer in time" : error.message;
  verdict("bad", "The gateway cannot be reached", [
    [`No order can be sent (${why}). Orders on record are resolved when it is back; send one again only with its own key.`, ""],
    ["With compose, see whether it runs and what it says:", "docker compose ps && docker logs --tail 50 backend"],
    ["With make run, read the lines of its terminal that begin with:", "gateway |"],
  ]);
  at("facts").classList.add("stale");
}

function verdict(kind, sentence, troubles) {
  at("verdict").className = `verdict ${kind}`;
  if (at("verdict-title").textContent !== sentence) text("verdict-title", sentence); // so that it is read out once
  at("advice").replaceChildren(...troubles.map(([what, command]) => {
    const item = document.createElement("li");
    item.append(what);
    if (command) {
      const code = document.createElement("code");
      code.textContent = command;
      item.append(" ", code);
    }
    return item;
  }));
  at("dot").className = `dot ${kind}`;
  document.title = kind === "good" ? "Tollgate" : `(!) ${sentence}, Tollgate`;
}

function showRisk(risk) {
  const kinds = { active: "good", locked: "bad", halted: "bad" };
  badge("risk-state", kinds[risk.state] || "warn", risk.state);
  text("drawdown", percent.format(risk.drawdown));
  text("drawdown-limit", percent.format(risk.maxDrawdownPct));
  text("utilization", `${percent.format(risk.utilization)} of the limit used`);
  text("equity", usd.format(risk.equityUsd));
  text("peak", usd.format(risk.peakEquityUsd));
  bar("drawdown-bar", risk.utilization);
}

function showWatch(watch, config) {
  const kinds = { ok: "good", warned: "warn", raised: "warn", abstaining: "bad" };
  badge("watch-state", kinds[watch.state] || "warn", watch.state);
  text("watch-threshold", percent.format(watch.effectiveThreshold));
  text("watch-asked", watch.effectiveThreshold > config.confidenceThreshold ? `confidence asked for, raised from ${percent.format(config.confidenceThreshold)}` : "confidence asked for");
  text("watch-matured", count.format(watch.matured));
  text("watch-ece", watch.ece === undefined ? "too few" : percent.format(watch.ece));
  text("watch-drift", watch.driftedFeatures.length ? `Features that have left the training set: ${watch.driftedFeatures.join(", ")}.` : "");
}

function showRate(rate) {
  text("rate", `${count.format(rate.used)} of ${count.format(rate.max)}`);
  text("rate-reset", rate.used ? `calls from this address; all free again in ${rate.resetSeconds} s` : "no calls from this address");
  bar("rate-bar", rate.max > 0 ? rate.used / rate.max : 0);
}

function showConfig(config) {
  const rows = [
    ["Trading mode", config.tradingMode],
    ["Confidence threshold", percent.format(config.confidenceThreshold)],
    ["Cap per symbol", usd.format(config.perSymbolUsdCap)],
    ["Drawdown limit", percent.format(config.maxDrawdownPct)],
    ["Calls a minute", count.format(config.rateLimitMax)],
    ["Target volatility a year", config.targetAnnVol === undefined ? "none" : percent.format(config.targetAnnVol)],
  ];
  at("config").replaceChildren(...rows.map(([name, value]) => {
    const row = document.createElement("div");
    const term = document.createElement("dt");
    const description = document.createElement("dd");
    term.textContent = name;
    description.textContent = value;
    row.append(term, description);
    return row;
  }));
}

function badge(id, kind, word) {
  at(id).className = `badge ${kind}`;
  text(id, word);
}

function bar(id, share) {
  const part = Math.max(0, Math.min(1, share));
  at(id).className = `bar ${part >= 1 ? "bad" : part >= 0.7 ? "warn" : ""}`;
  at(id).setAttribute("aria-valuenow", String(Math.round(part * 100)));
  at(id).firstElementChild.style.setProperty("--part", `${part * 100}%`);
}

function age(ms) {
  if (ms < 0) return "no price yet";
  return ms < 1000 ? `${count.format(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function text(id, value) {
  at(id).textContent = value;
}

function tick() {
  if (answeredAt === null) return text("beat", "no answer yet");
  const seconds = Math.round((Date.now() - answeredAt) / 1000);
  text("beat", seconds < 4 ? "live" : `last answer ${seconds} s ago`);
}

setInterval(tick, 1000);
poll();
