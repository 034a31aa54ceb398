// A browser that looks at the pages of a master, and notes everything that goes wrong there.
//
// PAGES_URL, PAGES_TOKEN, PAGES_TOOLS (a folder with node_modules), PAGES_CHROMIUM.

import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const { PAGES_URL: url, PAGES_TOKEN: token, PAGES_TOOLS: tools, PAGES_CHROMIUM: chromium = '/usr/bin/chromium' } = process.env;
const require = createRequire(`${tools}/`);
const playwright = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const PATIENCE = 60_000;

export { url, token };

export const browser = await playwright.chromium.launch({
  executablePath: chromium,
  args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-dev-shm-usage'],
});

/** A window in which everything that goes wrong is noted. */
export async function open(options = {}) {
  const context = await browser.newContext({ baseURL: url, ...options });
  const trouble = [];
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on('console', (message) => { if (message.type() === 'error' || message.type() === 'warning') trouble.push(`console: ${message.text()}`); });
  page.on('pageerror', (error) => trouble.push(`error: ${error}`));
  page.on('dialog', (dialog) => { trouble.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on('request', (request) => { if (!request.url().startsWith(url)) trouble.push(`another host: ${request.url()}`); });
  page.on('response', (response) => { if (response.status() >= 400) trouble.push(`${response.status()}: ${response.url()}`); });
  return { context, page, trouble };
}

export async function step(name, run) {
  const began = Date.now();
  await run();
  console.log(`ok ${name} (${Date.now() - began} ms)`);
}

/** Logs in, and gives back what a browser keeps of it. */
export async function loggedIn() {
  const { context, page } = await open();
  await page.goto('/login');
  await page.fill('#token', token);
  await page.press('#token', 'Enter');
  await page.waitForURL((address) => address.pathname === '/');
  const state = await context.storageState();
  await context.close();
  return state;
}

/** What axe finds on a page that is serious, in a line each. */
export async function seriousOn(page) {
  const found = await page.evaluate(`${axe}; axe.run(document, { resultTypes: ['violations'] })`);
  const serious = found.violations.filter((violation) => ['serious', 'critical'].includes(violation.impact));
  return serious.map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.html.slice(0, 200)).join(' | ')}`);
}

/** Bytes of a page that was opened and of all that it loaded, but for what comes while it is looked at. */
export async function bytesOf(page) {
  return page.evaluate(() => ['navigation', 'resource'].flatMap((kind) => performance.getEntriesByType(kind))
    .filter((entry) => entry.initiatorType !== 'fetch').reduce((sum, entry) => sum + entry.decodedBodySize, 0));
}

/** Whether a first load may be of so many. */
export const isSmall = (bytes) => bytes > 10_000 && bytes < 120_000;
