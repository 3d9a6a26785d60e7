/** One file on its way: its row in the list, and its pieces, from where the server has it to its end. */

import { element } from "./case";
import { Elsewhere, Ended, type Known, Lost, Refused, type Server } from "./upload-server";
import { words } from "./upload-words";

export interface Hooks {
  /** Something was sent, has arrived, or failed. */
  changed(): void;
  /** For who does not see the bars. */
  say(text: string): void;
  /** The page takes nothing any more. */
  ended(): void;
}

export interface PieceSizes {
  readonly smallest: number;
  readonly largest: number;
}

const firstPiece = 1 << 20;
/** Milliseconds: a piece that travels quicker is followed by a larger one. */
const quick = 1500;
const longestWait = 30;

export class Sending {
  readonly row: HTMLElement;
  state: "waiting" | "sending" | "here" | "failed" = "waiting";
  received = 0;
  size: number;
  number = 0;
  private readonly stopped = new AbortController();
  private readonly bar: HTMLProgressElement;
  private readonly note: HTMLElement;
  private readonly mark = mark();

  constructor(
    readonly name: string,
    size: number,
    /** Missing where a reload has forgotten it: then it is to be chosen again. */
    public file: File | undefined,
    private readonly hooks: Hooks,
    private readonly sizes: PieceSizes,
    row?: HTMLElement,
  ) {
    this.size = size;
    this.row = row ?? freshRow(name);
    this.bar = element<HTMLProgressElement>("progress", this.row);
    this.note = element(".upload-state", this.row);
    this.bar.max = Math.max(size, 1);
    this.show(words.waiting);
  }

  /** What the server has of a file whose bytes this page does not have any more. */
  static known(known: Known, row: HTMLElement, hooks: Hooks, sizes: PieceSizes): Sending {
    const sending = new Sending(known.name, known.size, undefined, hooks, sizes, row);
    sending.number = known.number;
    sending.received = known.received;
    if (known.received === known.size) sending.arrive();
    else sending.show(words.chooseAgain(known.received, known.size));
    return sending;
  }

  get isStopped(): boolean {
    return this.stopped.signal.aborted;
  }

  stop(): void {
    this.stopped.abort();
  }

  /** Whether a file that was chosen is what the server has the begin of: name and size could be another's. */
  async continues(file: File, server: Server): Promise<boolean> {
    if (file.name !== this.name || file.size !== this.size) return false;
    if (this.file) return this.state !== "failed" && file.lastModified === this.file.lastModified;
    this.show(words.comparing);
    const known = (await server.list()).find(({ number }) => number === this.number);
    const same = known !== undefined && (await begins(file, known));
    if (same) {
      this.file = file;
      this.received = known.received;
      if (this.received === this.size) this.arrive();
      else this.show(words.waiting);
    } else if (this.state === "here") this.arrive();
    else this.show(words.chooseAgain(this.received, this.size));
    return same;
  }

  /** Whether a file that was chosen takes the place of one that a reload has left incomplete. */
  isReplacedBy(file: File): boolean {
    return !this.file && this.state === "waiting" && file.name === this.name;
  }

  /** Brings the file to its end, however often the connection is lost on the way. */
  async send(server: Server): Promise<void> {
    if (!this.file || this.isStopped || this.state !== "waiting") return;
    this.state = "sending";
    this.show(words.sending(this.received, this.size));
    try {
      if (!this.number) {
        const known = await this.insist(() => server.add(this.name, this.size, this.mark));
        this.number = known.number;
        this.received = known.received;
        // Removed while the server was asked: it is not to wait for the rest for ever.
        if (this.isStopped) await server.remove(this.number);
      }
      await this.sendPieces(this.file, server);
      if (!this.isStopped) this.arrive();
    } catch (failure) {
      this.fail(failure);
    }
  }

  private async sendPieces(file: File, server: Server): Promise<void> {
    let length = firstPiece;
    while (this.received < this.size && !this.isStopped) {
      const begun = performance.now();
      try {
        await this.sendPiece(file, length, server);
        if (performance.now() - begun < quick) length = Math.min(2 * length, this.sizes.largest);
      } catch (failure) {
        if (failure instanceof Elsewhere) this.received = failure.received;
        else if (failure instanceof Lost) {
          length = this.sizes.smallest;
          this.received = await this.insist(() => server.received(this.number), failure);
        } else throw failure;
      }
      this.show(words.sending(this.received, this.size));
    }
  }

  private async sendPiece(file: File, length: number, server: Server): Promise<void> {
    const start = this.received;
    const bytes = await read(file, start, Math.min(start + length, this.size));
    const told = (sent: number) => this.show(words.sending(start + sent, this.size), start + sent);
    this.received = await server.piece(this.number, start, bytes, told, this.stopped.signal);
  }

  /** Asks until there is an answer; waits longer each time, and not at all once the connection is back. */
  private async insist<T>(ask: () => Promise<T>, before?: Lost): Promise<T> {
    let last = before;
    for (let wait = 1; ; wait = Math.min(2 * wait, longestWait)) {
      if (last) await this.pause(wait, last);
      if (this.isStopped) throw new Lost();
      try {
        const answer = await ask();
        if (last) this.hooks.say(words.back(this.name));
        return answer;
      } catch (failure) {
        if (!(failure instanceof Lost)) throw failure;
        last = failure;
      }
    }
  }

  private async pause(seconds: number, { why }: Lost): Promise<void> {
    const text = navigator.onLine ? words.lost[why](this.name, seconds) : words.offline(this.name);
    this.show(text);
    this.hooks.say(text);
    await new Promise<void>((resolve) => {
      const go = () => {
        clearTimeout(timer);
        removeEventListener("online", go);
        this.stopped.signal.removeEventListener("abort", go);
        resolve();
      };
      const timer = setTimeout(go, seconds * 1000);
      addEventListener("online", go);
      this.stopped.signal.addEventListener("abort", go);
    });
  }

  private arrive(): void {
    this.state = "here";
    this.received = this.size;
    this.show(words.here);
  }

  private fail(failure: unknown): void {
    if (this.isStopped) return;
    this.state = "failed";
    if (failure instanceof Ended) this.hooks.ended();
    const sentence = failure instanceof Refused || failure instanceof Unreadable ? failure.message : "";
    this.row.classList.add("failed");
    this.show(sentence || words.failed);
    this.hooks.say(words.stopped(this.name, sentence || words.failed));
  }

  private show(text: string, sent = this.received): void {
    this.bar.value = this.size ? sent : Number(this.state === "here");
    if (this.note.textContent !== text) this.note.textContent = text;
    this.hooks.changed();
  }
}

/** The disk has the file no longer, or another one in its place. */
class Unreadable extends Error {}

async function read(file: File, start: number, end: number): Promise<ArrayBuffer> {
  try {
    return await file.slice(start, end).arrayBuffer();
  } catch {
    throw new Unreadable(words.unreadable);
  }
}

/** Whether a file begins with the pieces that the server has. Without a secure origin it cannot be told. */
async function begins(file: File, known: Known): Promise<boolean> {
  if (!crypto.subtle) return false;
  let start = 0;
  for (const { size, sha256 } of known.pieces) {
    const digest = await crypto.subtle.digest("SHA-256", await read(file, start, start + size));
    if (hex(digest) !== sha256) return false;
    start += size;
  }
  return true;
}

function hex(digest: ArrayBuffer): string {
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function mark(): string {
  return hex(crypto.getRandomValues(new Uint8Array(16)).buffer);
}

function freshRow(name: string): HTMLElement {
  const template = element<HTMLTemplateElement & HTMLElement>("#upload-file");
  const row = element("li", template.content.cloneNode(true) as DocumentFragment);
  element("bdi", row).textContent = name;
  element("progress", row).setAttribute("aria-label", name);
  element(".upload-remove", row).setAttribute("aria-label", words.remove(name));
  return row;
}
