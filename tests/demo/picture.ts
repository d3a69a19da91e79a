/** The picture of the report in README.md: docs/report.png, from the demo that is running. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Page } from '../cli/browser.ts';
import { root } from '../support/cluster.ts';
import { readNote, reportFile } from './directory.ts';

readNote();
const profile = mkdtempSync(join(tmpdir(), 'rolecall-picture-'));
const page = await Page.open(profile);
await page.send('Emulation.setDeviceMetricsOverride', {
  width: 960,
  height: 1180,
  deviceScaleFactor: 1,
  mobile: false,
});
await page.go(`file://${reportFile}`);
// What is below the matrix is tables.
await page.evaluate("document.getElementById('graph').style.height = '22rem', dispatchEvent(new Event('resize'))");
await page.until("document.querySelectorAll('#matrix tbody tr').length > 0");
await page.evaluate("document.getElementById('graph').graph.resize().fit(undefined, 30) && 1");
writeFileSync(join(root, 'docs/report.png'), await page.screenshot());
await page.close();
rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
