// The console: pages drawn from the REST API, nothing from elsewhere.
"use strict";

const main = document.getElementById("main");
const status = document.getElementById("status");
let session = { csrf: "", login: false };
let turn = 0; // of pages: what comes late for an earlier one is not shown

// --- making elements: text is always text, never markup
function el(name, attributes, ...children) {
  const svg = ["svg", "rect", "line", "text", "polyline", "title", "desc"].includes(name);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child);
  return node;
}

function table(caption, columns, rows) {
  const head = el("tr", {}, columns.map((c) => el("th", { scope: "col", class: c.number ? "number" : null }, c.title)));
  const body = rows.map((row) =>
    el("tr", {}, row.map((cell, i) => el("td", { class: columns[i].number ? "number" : null }, cell))));
  if (!rows.length) body.push(el("tr", {}, el("td", { colspan: columns.length, class: "quiet" }, "None.")));
  return el("table", {}, el("caption", {}, caption), el("thead", {}, head), el("tbody", {}, body));
}

const col = (title) => ({ title });
const num = (title) => ({ title, number: true });
const count = (n) => (n === null || n === undefined ? "–" : Number(n).toLocaleString("en"));

function bytes(n) {
  if (n === null || n === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (n >= 1024 && i < units.length - 1) { n /= 1024; i += 1; }
  return `${i && n < 100 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}

function span(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${ms} ms`;
  const s = ms / 1000;
  if (s < 120) return `${s.toFixed(1)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  return `${Math.round(s / 3600)} h`;
}

// --- asking
async function ask(path, options) {
  const answer = await fetch(path, { headers: { accept: "application/json" }, ...options });
  if (answer.status === 401) { location.href = "/login"; throw new Error("not logged in"); }
  if (answer.status === 204) return null;
  const body = await answer.json().catch(() => ({ error: `HTTP ${answer.status}` }));
  if (!answer.ok) throw new Error(body.error || `HTTP ${answer.status}`);
  return body;
}

function change(path, method, body) {
  return ask(path, {
    method,
    headers: { accept: "application/json", "content-type": "application/json", "x-esker-csrf": session.csrf },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
}

function say(text) { status.textContent = text; }

// --- the picture of a partition's offsets across the tiers
function tiers(offsets, name) {
  const { log_start: start, local_start: local, tier_end: tier, open_segment: open, high_watermark: high, log_end: end } = offsets;
  const width = 1000, top = 6, height = 22;
  const size = Math.max(end - start, 1);
  const x = (offset) => ((Math.min(Math.max(offset, start), end) - start) / size) * width;
  const cold = tier === null ? start : Math.max(tier, start);
  const words = `${name}: offsets ${start} to ${end}; cold tier ${cold > start ? `${start} to ${cold}` : "nothing"}; local ${local} to ${end}; ` +
    `both ${cold > local ? `${local} to ${cold}` : "nothing"}; open segment from ${open}; high watermark ${high}`;
  const part = (from, to, kind) => (to > from ? el("rect", { class: kind, x: x(from), y: top, width: Math.max(x(to) - x(from), 2), height }) : null);
  const picture = el("svg", { class: "tiers", viewBox: `0 0 ${width} 34`, preserveAspectRatio: "none", role: "img", "aria-label": words },
    el("title", {}, words),
    part(start, Math.min(cold, local), "cold"),
    part(local, Math.min(cold, end), "both"),
    part(Math.max(local, cold), end, "hot"),
    end > open ? el("rect", { class: "open", x: x(open), y: top - 3, width: Math.max(x(end) - x(open), 3), height: height + 6 }) : null,
    el("line", { class: "mark", x1: x(high), x2: x(high), y1: 0, y2: top + height + 6 }));
  // Beside the picture, which is stretched: letters would be too.
  return el("div", {}, picture, el("p", { class: "ends", "aria-hidden": "true" }, el("span", {}, `log start ${count(start)}`),
    el("span", {}, `local from ${count(local)}`), el("span", {}, `high watermark ${count(high)} · end ${count(end)}`)));
}

function legend() {
  const one = (kind, text) => el("span", {}, el("i", { class: kind, "aria-hidden": "true" }), text);
  return el("p", { class: "legend" }, one("cold", "cold: in the store only"), one("both", "in the store and on local disks"),
    one("hot", "hot: on local disks only"), el("span", {}, "dashed: the open segment"), el("span", {}, "line: high watermark"));
}

// --- live charts: rates of this broker's counters
class Chart {
  constructor(title, format, value) {
    this.values = [];
    this.value = value;
    this.format = format;
    this.now = el("output", {}, "–");
    this.line = el("polyline", { fill: "none", stroke: "currentColor", "stroke-width": "2", points: "" });
    this.node = el("figure", {}, el("figcaption", {}, el("span", {}, title), this.now),
      el("svg", { viewBox: "0 0 300 100", preserveAspectRatio: "none", role: "img", "aria-label": title }, this.line));
  }
  add(numbers, before, seconds) {
    const value = this.value(numbers, before, seconds);
    if (value === null) return;
    this.values.push(value);
    if (this.values.length > 60) this.values.shift();
    const most = Math.max(...this.values, 1e-9);
    this.line.setAttribute("points", this.values.map((v, i) => `${(i / 59) * 300},${96 - (v / most) * 90}`).join(" "));
    this.now.textContent = this.format(value);
  }
}

const sum = (numbers, name, labels) => (numbers[name] || [])
  .filter((s) => Object.entries(labels || {}).every(([k, v]) => s.labels[k] === v))
  .reduce((all, s) => all + (typeof s.value === "object" ? s.value.count : s.value), 0);
const rate = (name, labels) => (now, before, seconds) =>
  before ? Math.max(sum(now, name, labels) - sum(before, name, labels), 0) / seconds : null;
const level = (name) => (now) => sum(now, name);
const perSecond = (n) => `${n < 10 ? n.toFixed(1) : count(Math.round(n))}/s`;
const bytesPerSecond = (n) => `${bytes(n)}/s`;

function live(charts, names) {
  let before = null, at = 0;
  const look = async () => {
    try {
      const told = await ask(`/api/v1/metrics?names=${names.join(",")}`);
      for (const chart of charts) chart.add(told.metrics, before, (told.time_ms - at) / 1000);
      before = told.metrics; at = told.time_ms;
    } catch (error) { say(error.message); }
  };
  const node = el("div", { class: "charts" }, charts.map((chart) => chart.node));
  const every = setInterval(() => { if (node.isConnected) look(); else clearInterval(every); }, 1000);
  look();
  return node;
}

// --- pages
const pages = {};

pages.overview = async () => {
  const cluster = await ask("/api/v1/cluster");
  const card = (name, value, bad) => el("li", {}, el("span", {}, name), el("strong", { class: bad ? "bad" : null }, count(value)));
  const active = cluster.brokers.filter((b) => b.state === "active").length;
  const charts = [
    new Chart("Produced", bytesPerSecond, rate("esker_produced_bytes_total")),
    new Chart("Records produced", perSecond, rate("esker_produced_records_total")),
    new Chart("Fetched from local disks", bytesPerSecond, rate("esker_fetched_bytes_total", { tier: "hot" })),
    new Chart("Fetched from the cold tier", bytesPerSecond, rate("esker_fetched_bytes_total", { tier: "cold" })),
    new Chart("Requests", perSecond, rate("esker_requests_total")),
    new Chart("Memory of the process", bytes, level("esker_process_resident_bytes")),
  ];
  return [
    el("h1", {}, "Overview"),
    el("p", { class: "quiet" }, `Cluster ${cluster.cluster_id}, told by broker ${cluster.answered_by}; broker ${cluster.metadata_leader ?? "–"} leads the metadata.`),
    el("ul", { class: "cards" }, card("Brokers active", active, active < cluster.brokers.length), card("Topics", cluster.topics),
      card("Partitions", cluster.partitions), card("Without leader", cluster.without_leader, cluster.without_leader > 0),
      card("Under-replicated", cluster.under_replicated, cluster.under_replicated > 0)),
    el("h2", {}, `Broker ${cluster.answered_by}, live`),
    live(charts, ["esker_produced_bytes_total", "esker_produced_records_total", "esker_fetched_bytes_total", "esker_requests_total", "esker_process_resident_bytes"]),
  ];
};

pages.brokers = async () => {
  const cluster = await ask("/api/v1/cluster");
  return [
    el("h1", {}, "Brokers"),
    table("Brokers and their state", [num("Id"), col("State"), col("Rack"), num("Leads"), num("Replicas"), num("Not in sync"), col("Listeners")],
      cluster.brokers.map((b) => [String(b.id) + (b.id === cluster.metadata_leader ? " (metadata leader)" : ""),
        el("span", { class: b.state === "active" ? "good" : "bad" }, b.state), b.rack || "–", count(b.led), count(b.replicas),
        el("span", { class: b.not_in_sync ? "bad" : null }, count(b.not_in_sync)), b.listeners.join(", ")])),
  ];
};

pages.topics = async () => {
  const { topics } = await ask("/api/v1/topics");
  const field = (id, label, more) => el("div", {}, el("label", { for: id }, label), el("input", { id, name: id, ...more }));
  const make = el("form", { "aria-label": "New topic", onsubmit: async (event) => {
    event.preventDefault();
    const form = new FormData(make);
    const body = { name: form.get("topic-name") };
    if (form.get("topic-partitions")) body.partitions = Number(form.get("topic-partitions"));
    if (form.get("topic-replicas")) body.replication_factor = Number(form.get("topic-replicas"));
    if (form.get("topic-tiered")) body.configs = { "remote.storage.enable": "true" };
    try { await change("/api/v1/topics", "POST", body); say(`Topic ${body.name} is made.`); show(); } catch (error) { say(error.message); }
  } }, field("topic-name", "Name", { required: true, maxlength: 249 }), field("topic-partitions", "Partitions", { type: "number", min: 1 }),
  field("topic-replicas", "Replicas", { type: "number", min: 1 }),
  el("div", {}, el("label", { for: "topic-tiered" }, "Tiered"), el("input", { id: "topic-tiered", name: "topic-tiered", type: "checkbox" })),
  el("button", { type: "submit" }, "Make topic"));
  return [
    el("h1", {}, "Topics"), make,
    table("Topics", [col("Name"), num("Partitions"), num("Replicas"), num("Under-replicated"), num("Without leader"), col("Set configs")],
      topics.map((t) => [el("a", { href: `#/topics/${encodeURIComponent(t.name)}` }, t.name), count(t.partitions), count(t.replication_factor),
        el("span", { class: t.under_replicated ? "bad" : null }, count(t.under_replicated)),
        el("span", { class: t.without_leader ? "bad" : null }, count(t.without_leader)),
        Object.entries(t.configs).map(([k, v]) => `${k}=${v}`).join(", ")])),
  ];
};

pages.topic = async (name) => {
  const topic = await ask(`/api/v1/topics/${encodeURIComponent(name)}`);
  const at = `#/topics/${encodeURIComponent(name)}`;
  const remove = el("button", { class: "quiet", type: "button", onclick: async () => {
    if (!window.confirm(`Delete ${name} with all its records, in both tiers?`)) return;
    try { await change(`/api/v1/topics/${encodeURIComponent(name)}`, "DELETE"); location.hash = "#/topics"; say(`Topic ${name} is deleted.`); } catch (error) { say(error.message); }
  } }, "Delete topic");
  return [
    el("h1", {}, name), el("p", { class: "quiet" }, `id ${topic.id}`), legend(),
    table("Partitions", [num("Partition"), col("Offsets across the tiers"), num("Leader"), col("In sync"), col("Lag of followers"), num("Local"), col("Records")],
      topic.partitions.map((p) => [String(p.partition), p.offsets ? tiers(p.offsets, `${name}-${p.partition}`) : el("span", { class: "bad" }, "its leader does not say"),
        p.leader === null ? el("span", { class: "bad" }, "none") : String(p.leader),
        el("span", { class: p.isr.length < p.replicas.length ? "bad" : null }, `${p.isr.join(" ")} of ${p.replicas.join(" ")}`),
        p.offsets ? p.offsets.followers.map((f) => `broker ${f.broker}: ${count(f.lag)} (${span(f.lag_ms)})`).join("; ") || "–" : "–",
        p.offsets ? bytes(p.offsets.local_bytes) : "–", el("a", { href: `${at}/${p.partition}`, "aria-label": `Records of partition ${p.partition}` }, "Browse")])),
    topic.all_configs ? el("details", {}, el("summary", {}, "Configs"), table("Configs", [col("Name"), col("Value"), col("Source"), col("Meaning")],
      topic.all_configs.map((c) => [c.name, c.value ?? "–", c.source, c.doc]))) : null,
    topic.internal ? null : remove,
  ];
};

pages.records = async (name, partition, query) => {
  const path = `/api/v1/topics/${encodeURIComponent(name)}/partitions/${partition}/records`;
  const told = await ask(`${path}?limit=50${query ? `&${query}` : ""}`);
  const at = `#/topics/${encodeURIComponent(name)}/${partition}`;
  const go = (event, of) => { event.preventDefault(); location.hash = `${at}?${of(new FormData(event.target))}`; };
  const byOffset = el("form", { "aria-label": "By offset", onsubmit: (e) => go(e, (f) => `offset=${f.get("offset")}`) },
    el("div", {}, el("label", { for: "offset" }, "From offset"), el("input", { id: "offset", name: "offset", type: "number", min: 0, value: told.from })),
    el("button", {}, "Go"));
  const byTime = el("form", { "aria-label": "By time", onsubmit: (e) => go(e, (f) => `timestamp=${new Date(f.get("time")).getTime()}`) },
    el("div", {}, el("label", { for: "time" }, "From time"), el("input", { id: "time", name: "time", type: "datetime-local", step: 1, required: true })),
    el("button", {}, "Go"));
  const shown = (b) => (b === null ? el("span", { class: "quiet" }, "null")
    : el("pre", {}, b.text !== undefined ? b.text : `base64 ${b.base64}`, b.cut ? ` … (${bytes(b.bytes)})` : ""));
  const last = Math.max(told.high_watermark - 50, told.log_start);
  return [
    el("h1", {}, `${name}, partition ${partition}`),
    el("p", { class: "quiet" }, `Offsets ${count(told.log_start)} to ${count(told.high_watermark)}; local from ${count(told.local_start)} on.`),
    byOffset, byTime,
    el("p", {}, el("a", { href: `${at}?offset=${told.log_start}` }, "First"), " · ", el("a", { href: `${at}?offset=${told.next}` }, "Next"), " · ",
      el("a", { href: `${at}?offset=${last}` }, "Last"), " · ", el("a", { href: `#/topics/${encodeURIComponent(name)}` }, "Back to the topic")),
    table("Records", [num("Offset"), col("Tier"), col("Time"), col("Key"), col("Value"), col("Headers")],
      told.records.map((r) => [count(r.offset), el("span", { class: `tag ${r.tier}` }, r.tier), new Date(r.timestamp).toISOString(),
        r.control ? el("span", { class: "quiet" }, "transaction marker") : shown(r.key), r.control ? "" : shown(r.value),
        r.headers.map((h) => el("div", {}, `${h.name}: `, shown(h.value)))])),
  ];
};

pages.groups = async () => {
  const { groups } = await ask("/api/v1/groups");
  return [
    el("h1", {}, "Consumer groups"),
    table("Groups", [col("Group"), col("State"), num("Members"), num("Lag in records"), num("Lag in time")],
      groups.map((g) => [el("a", { href: `#/groups/${encodeURIComponent(g.group)}` }, g.group), g.state, count(g.members.length), count(g.lag), span(g.lag_ms)])),
  ];
};

pages.group = async (name) => {
  const { groups } = await ask("/api/v1/groups");
  const group = groups.find((g) => g.group === name);
  if (!group) return [el("h1", {}, name), el("p", {}, "There is no such group.")];
  return [
    el("h1", {}, name), el("p", {}, `${group.state}, ${count(group.lag)} records behind.`),
    table("Members", [col("Client"), col("Host"), col("Member id")], group.members.map((m) => [m.client, m.host, m.id])),
    table("Offsets", [col("Topic"), num("Partition"), num("Committed"), num("High watermark"), num("Lag"), num("Lag in time")],
      group.offsets.map((o) => [el("a", { href: `#/topics/${encodeURIComponent(o.topic)}` }, o.topic), String(o.partition), count(o.committed),
        count(o.high_watermark), count(o.lag), span(o.lag_ms)])),
  ];
};

pages.tier = async () => {
  const names = ["esker_store_requests_total", "esker_store_errors_total", "esker_store_bytes_total", "esker_tier_cache_lookups_total",
    "esker_tier_lag_bytes", "esker_tier_lag_seconds", "esker_disk_free_bytes", "esker_log_bytes"];
  const { metrics } = await ask(`/api/v1/metrics?names=${names.join(",")}`);
  const puts = sum(metrics, "esker_store_requests_total", { kind: "put" }) + sum(metrics, "esker_store_requests_total", { kind: "list" });
  const gets = sum(metrics, "esker_store_requests_total", { kind: "get" }) + sum(metrics, "esker_store_requests_total", { kind: "head" });
  const cost = puts * 5e-6 + gets * 4e-7;
  const hits = sum(metrics, "esker_tier_cache_lookups_total", { outcome: "memory" }) + sum(metrics, "esker_tier_cache_lookups_total", { outcome: "disk" })
    + sum(metrics, "esker_tier_cache_lookups_total", { outcome: "peer" });
  const all = hits + sum(metrics, "esker_tier_cache_lookups_total", { outcome: "miss" });
  const charts = [
    new Chart("To the store", bytesPerSecond, rate("esker_store_bytes_total", { direction: "up" })),
    new Chart("From the store", bytesPerSecond, rate("esker_store_bytes_total", { direction: "down" })),
    new Chart("Requests to the store", perSecond, rate("esker_store_requests_total")),
    new Chart("Not yet in the cold tier", bytes, level("esker_tier_lag_bytes")),
  ];
  const card = (name, text) => el("li", {}, el("span", {}, name), el("strong", {}, text));
  return [
    el("h1", {}, "Tiers"),
    el("p", { class: "quiet" }, "Of the broker that serves this page, since its start."),
    el("ul", { class: "cards" }, card("Requests that write or list", count(puts)), card("Requests that read", count(gets)),
      card("Requests at S3's list price", `$${cost.toFixed(4)}`), card("Cache hits", all ? `${Math.round((hits / all) * 100)} %` : "–"),
      card("Store errors", count(sum(metrics, "esker_store_errors_total"))), card("Local files", bytes(sum(metrics, "esker_log_bytes"))),
      card("Free on the disks", bytes(sum(metrics, "esker_disk_free_bytes"))), card("Oldest that waits", span(Math.round(sum(metrics, "esker_tier_lag_seconds") * 1000)))),
    live(charts, names),
  ];
};

async function show() {
  const ours = ++turn;
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const words = path.split("/").filter(Boolean).map(decodeURIComponent);
  const [page, name, partition] = words;
  const key = page === "topics" ? (partition !== undefined ? "records" : name ? "topic" : "topics")
    : page === "groups" ? (name ? "group" : "groups") : page || "overview";
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.getAttribute("href").replace(/^#\/?/, "") === (page || "");
    if (here) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  try {
    const draw = pages[key];
    const nodes = draw ? await draw(name, partition, query) : [el("h1", {}, "There is no such page.")];
    if (ours !== turn) return;
    main.replaceChildren(...nodes.filter(Boolean));
    document.title = `${main.querySelector("h1").textContent} · Esker`;
  } catch (error) {
    if (ours !== turn) return;
    main.replaceChildren(el("h1", {}, "That did not work"), el("p", { class: "error", role: "alert" }, error.message));
  }
  main.dataset.page = key;
}

async function begin() {
  session = await ask("/api/v1/session");
  const who = document.getElementById("who");
  who.append(session.login ? `${session.principal} ` : "no login needed here");
  if (session.login) {
    who.append(el("button", { class: "quiet", type: "button", onclick: async () => {
      await fetch("/logout", { method: "POST", headers: { "x-esker-csrf": session.csrf }, redirect: "manual" });
      location.href = "/login";
    } }, "Log out"));
  }
  addEventListener("hashchange", () => { say(""); show().then(() => main.focus()); });
  await show();
}

begin().catch((error) => say(error.message));
