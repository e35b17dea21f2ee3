// Drives the console in Debian's Chromium as a user does; prints what it saw as one line of JSON.
//   node console.js URL OUT_FOLDER TOPIC [USER PASSWORD]
"use strict";
const { chromium } = require("playwright-core");

async function main() {
  const [url, out, topic, user, password] = process.argv.slice(2);
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const seen = { errors: [], elsewhere: [] };
  page.on("pageerror", (error) => seen.errors.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error") seen.errors.push(message.text()); });
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith("data:")) seen.elsewhere.push(request.url());
  });
  const at = async (hash, name) => {
    await page.goto(`${url}/${hash}`);
    await page.waitForSelector(`main[data-page="${name}"]`, { timeout: 30000 });
  };
  // The least contrast of any text with what is behind it (WCAG's formula), and that text.
  const contrast = () => page.evaluate(() => {
    const numbers = (text) => (text.match(/[\d.]+/g) || []).map(Number);
    const bright = (rgb) => rgb.slice(0, 3).map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
      .reduce((all, v, i) => all + v * [0.2126, 0.7152, 0.0722][i], 0);
    let least = [21, ""];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const node = texts.currentNode.parentElement, text = texts.currentNode.textContent.trim();
      if (!text || !node.getClientRects().length || node.closest("svg")) continue;
      let under = node, ground = numbers(getComputedStyle(under).backgroundColor);
      while (ground[3] === 0 && under.parentElement) {
        under = under.parentElement;
        ground = numbers(getComputedStyle(under).backgroundColor);
      }
      const [a, b] = [bright(numbers(getComputedStyle(node).color)), bright(ground)];
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (ratio < least[0]) least = [ratio, text];
    }
    return least;
  });
  seen.contrast = {};
  const looked = async (name) => {
    for (const colorScheme of ["dark", "light"]) {
      await page.emulateMedia({ colorScheme });
      seen.contrast[`${name}, ${colorScheme}`] = await contrast();
    }
  };
  const unlabelled = () => page.$$eval("input, button, svg, select", (all) => all.filter((node) =>
    !(node.labels && node.labels.length) && !node.getAttribute("aria-label") && !node.textContent.trim() && !node.closest("[aria-hidden]")).length);
  await page.goto(`${url}/`);
  if (user) {
    await page.waitForSelector("input[name=password]");
    await looked("login");
    seen.login_unlabelled = await unlabelled();
    await page.fill("input[name=user]", user);
    await page.fill("input[name=password]", "wrong");
    await page.click("button[type=submit]");
    seen.refused = await page.textContent("[role=alert]");
    // The refusal itself is told in the browser's log.
    seen.errors = seen.errors.filter((text) => !text.includes("401"));
    await page.fill("input[name=user]", user);
    await page.fill("input[name=password]", password);
    await page.click("button[type=submit]");
    await page.waitForSelector('main[data-page="overview"]', { timeout: 30000 });
    seen.cookie = (await context.cookies()).find((cookie) => cookie.name === "esker_session");
  }
  // A page whose answers come late does not take the place of one that was asked for after it.
  let late = true;
  await page.route("**/api/v1/**", async (route) => {
    if (late) await new Promise((done) => setTimeout(done, 1500));
    await route.continue();
  });
  await page.goto(`${url}/#/`);
  await page.waitForTimeout(300);
  late = false;
  await at("#/topics", "topics");
  await page.waitForTimeout(2500);
  seen.late = await page.getAttribute("main", "data-page");
  await page.unroute("**/api/v1/**");
  // A topic is made with the keyboard alone.
  await at("#/topics", "topics");
  await page.focus("#topic-name");
  await page.keyboard.type("made-in-the-console");
  await page.keyboard.press("Tab");
  await page.keyboard.type("2");
  await page.keyboard.press("Enter");
  await page.waitForSelector('a[href="#/topics/made-in-the-console"]', { timeout: 30000 });
  seen.made = true;
  for (const [hash, name] of [["#/", "overview"], ["#/brokers", "brokers"], ["#/topics", "topics"], ["#/groups", "groups"], ["#/tier", "tier"]]) {
    await at(hash, name);
    seen[name] = await page.textContent("main");
    await looked(name);
    seen[`${name}_unlabelled`] = await unlabelled();
  }
  await at("#/", "overview");
  await page.waitForFunction(() => [...document.querySelectorAll("polyline")].every((line) => line.getAttribute("points").includes(" ")), null, { timeout: 30000 });
  await page.screenshot({ path: `${out}/overview.png` });
  await at(`#/topics/${topic}`, "topic");
  seen.picture = await page.getAttribute("svg.tiers", "aria-label");
  await looked("topic");
  await page.screenshot({ path: `${out}/topic.png` });
  if (process.env.RECORDS) {
  await at(`#/topics/${topic}/0?offset=0`, "records");
  // Between two answers there is no row.
  const another = (before) => {
    const row = document.querySelector("tbody tr");
    return row && row.cells[0].textContent !== before;
  };
  const rows = async () => page.$$eval("tbody tr", (all) => all.map((row) => [...row.cells].map((cell) => cell.textContent)));
  seen.first = await rows();
  await page.click("text=Last");
  await page.waitForFunction(another, seen.first[0][0], { timeout: 30000 });
  seen.last = await rows();
  await looked("records");
  await page.fill("#time", "2020-01-01T00:00:01");
  await page.click('form[aria-label="By time"] button');
  await page.waitForFunction(another, seen.last[0][0], { timeout: 30000 });
  seen.by_time = await rows();
  }
  if (process.env.GROUP) {
    await at("#/groups", "groups");
    await page.click(`a[href="#/groups/${process.env.GROUP}"]`);
    await page.waitForSelector('main[data-page="group"]', { timeout: 30000 });
    seen.group = await page.textContent("main");
    seen.group_offsets = await page.$$eval("table:last-of-type tbody tr", (all) => all.map((row) => [...row.cells].map((cell) => cell.textContent)));
    seen.group_unlabelled = await unlabelled();
    await looked("group");
  }
  // Who is asked and says no keeps the topic; who says yes has it deleted.
  await at("#/topics/made-in-the-console", "topic");
  const asked = async (answer) => {
    const dialog = page.waitForEvent("dialog", { timeout: 30000 }).then(async (it) => { const text = it.message(); await it[answer](); return text; });
    await page.click("text=Delete topic");
    return dialog;
  };
  seen.asked = await asked("dismiss");
  await at("#/topics", "topics");
  seen.kept = await page.$$eval('a[href="#/topics/made-in-the-console"]', (all) => all.length);
  await at("#/topics/made-in-the-console", "topic");
  await asked("accept");
  await page.waitForSelector('main[data-page="topics"]', { timeout: 30000 });
  for (let tries = 0; tries < 100 && !seen.deleted; tries += 1) {
    await at("#/brokers", "brokers");
    await at("#/topics", "topics");
    seen.deleted = !(await page.$$eval('a[href="#/topics/made-in-the-console"]', (all) => all.length));
  }
  if (user) {
    await page.click("text=Log out");
    await page.waitForSelector("input[name=password]", { timeout: 30000 });
    // Nothing is shown any more.
    await page.goto(`${url}/#/topics`);
    await page.waitForSelector("input[name=password]", { timeout: 30000 });
    seen.logged_out = page.url();
  }
  await browser.close();
  console.log(JSON.stringify(seen));
}

main().catch((error) => { console.error(error); process.exit(1); });
