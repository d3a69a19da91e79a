/**
 * Debian's chromium without a window, spoken to in its own protocol by two pipes.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';

export const browser = ['chromium', 'chromium-browser'].find((name) => spawnSync(name, ['--version']).status === 0);

type Answer = Record<string, unknown>;
interface Message {
  id?: number;
  method?: string;
  params?: Answer;
  result?: Answer;
  error?: { message: string };
}

export class Page {
  /** Addresses that the page asked for, and what it complained of. */
  readonly requests: string[] = [];
  readonly complaints: string[] = [];
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, { done: (answer: Answer) => void; failed: (error: Error) => void }>();
  #next = 1;
  #session: string | undefined;
  #loaded: (() => void) | undefined;

  private constructor(profile: string) {
    const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'];
    const parameters = [...flags, '--remote-debugging-pipe', `--user-data-dir=${profile}`, '--window-size=1280,900'];
    this.#process = spawn(browser ?? '', parameters, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
    let text = '';
    (this.#process.stdio[4] as Readable).setEncoding('utf8').on('data', (some: string) => {
      const parts = (text + some).split('\0');
      text = parts.pop() ?? '';
      for (const part of parts) this.#receive(JSON.parse(part) as Message);
    });
    this.#process.once('close', () => {
      for (const { failed } of this.#waiting.values()) failed(new Error('the browser has ended'));
    });
  }

  static async open(profile: string): Promise<Page> {
    const page = new Page(profile);
    const { targetId } = await page.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await page.send('Target.attachToTarget', { targetId, flatten: true });
    page.#session = sessionId as string;
    for (const domain of ['Page', 'Network', 'Runtime', 'Log']) await page.send(`${domain}.enable`);
    return page;
  }

  #receive({ id, method, params = {}, result = {}, error }: Message): void {
    if (id !== undefined) {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.done(result);
      else waiting?.failed(new Error(error.message));
    }
    if (method === 'Page.loadEventFired') this.#loaded?.();
    if (method === 'Network.requestWillBeSent') this.requests.push((params['request'] as { url: string }).url);
    if (method === 'Runtime.exceptionThrown' || method === 'Log.entryAdded')
      this.complaints.push(JSON.stringify(params));
  }

  send(method: string, params: Answer = {}): Promise<Answer> {
    const id = this.#next++;
    const message = { id, method, params, ...(this.#session === undefined ? {} : { sessionId: this.#session }) };
    return new Promise((done, failed) => {
      this.#waiting.set(id, { done, failed });
      (this.#process.stdio[3] as Writable).write(`${JSON.stringify(message)}\0`);
    });
  }

  async go(address: string): Promise<void> {
    const loaded = new Promise<void>((done) => (this.#loaded = done));
    await this.send('Page.navigate', { url: address });
    await loaded;
  }

  /** The value of an expression in the page. */
  async evaluate<T = unknown>(expression: string): Promise<T> {
    const answer = await this.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    assert.equal(answer['exceptionDetails'], undefined, JSON.stringify(answer['exceptionDetails']));
    return (answer['result'] as { value: T }).value;
  }

  /** Waits until an expression holds in the page. */
  async until(expression: string): Promise<void> {
    const given = Date.now() + 60_000;
    while (!(await this.evaluate<boolean>(`Boolean(${expression})`))) {
      assert.ok(Date.now() < given, `it never holds: ${expression}`);
      await new Promise((done) => setTimeout(done, 30));
    }
  }

  async click(x: number, y: number): Promise<void> {
    for (const type of ['mousePressed', 'mouseReleased'])
      await this.send('Input.dispatchMouseEvent', { type, x, y, button: 'left', buttons: 1, clickCount: 1 });
  }

  /** Clicks where the element is, as a person does. */
  async clickOn(expression: string): Promise<void> {
    const { x, y } = await this.evaluate<{ x: number; y: number }>(
      `(() => { const e = ${expression}; e.scrollIntoView({ block: 'center' }); const b = e.getBoundingClientRect(); return { x: b.x + b.width / 2, y: b.y + b.height / 2 }; })()`,
    );
    await this.click(x, y);
  }

  async press(key: string): Promise<void> {
    for (const type of ['keyDown', 'keyUp']) await this.send('Input.dispatchKeyEvent', { type, key, code: key });
  }

  async screenshot(): Promise<Buffer> {
    return Buffer.from((await this.send('Page.captureScreenshot', { format: 'png' }))['data'] as string, 'base64');
  }

  close(): Promise<void> {
    const ended = new Promise<void>((done) => this.#process.once('close', () => done()));
    this.#session = undefined;
    void this.send('Browser.close').catch(() => undefined);
    return ended;
  }
}
