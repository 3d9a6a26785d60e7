/** The upload page: files are chosen or dropped, go up one after the other, and "Share" sends them off. */

import { element } from "./case";
import { type Hooks, type PieceSizes, Sending } from "./upload-file";
import { Ended, type Known, Lost, Refused, Server } from "./upload-server";
import { words } from "./upload-words";

const waitBeforeRetry = 3000;

class UploadPage {
  private readonly form = element<HTMLFormElement>("form.upload");
  private readonly pick = element<HTMLInputElement>("#files");
  private readonly zone = element(".drop");
  private readonly list = element(".upload-files");
  private readonly total = element(".upload-total");
  private readonly problem = element(".problem");
  private readonly line = element(".upload-line");
  private readonly button = element<HTMLButtonElement>(".primary");
  private readonly server: Server;
  private readonly limit: number;
  private readonly most: number;
  private readonly sizes: PieceSizes;
  private readonly hooks: Hooks;
  private files: Sending[] = [];
  private queue: Promise<void> = Promise.resolve();
  /** What is removed still counts on the server until this has ended. */
  private removals: Promise<void> = Promise.resolve();
  private isSending = false;
  private sharing = false;

  constructor() {
    const { limit, most, smallest, largest } = this.form.dataset;
    this.server = new Server(new URL(this.form.action).pathname);
    this.limit = Number(limit);
    this.most = Number(most);
    this.sizes = { smallest: Number(smallest), largest: Number(largest) };
    this.hooks = {
      changed: () => this.update(),
      say: (text) => this.say(text),
      ended: () => {
        this.isSending = false; // nothing is lost by leaving the page
        location.reload();
      },
    };
    for (const row of this.list.querySelectorAll<HTMLElement>("li")) this.remember(row);
    this.listen();
    this.form.classList.add("ready");
    this.update();
  }

  private listen(): void {
    this.pick.addEventListener("change", () => {
      const chosen = [...(this.pick.files ?? [])];
      this.pick.value = "";
      this.take(chosen);
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.share();
    });
    // Beside the place for it too: a browser would open the file and leave the page.
    addEventListener("dragover", (event) => this.hover(event));
    addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) this.zone.classList.remove("over");
    });
    addEventListener("drop", (event) => this.dropped(event));
    addEventListener("beforeunload", (event) => {
      if (this.isSending) event.preventDefault();
    });
  }

  private hover(event: DragEvent): void {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    this.zone.classList.add("over");
  }

  private dropped(event: DragEvent): void {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    this.zone.classList.remove("over");
    const folders = new Set<string>();
    for (const item of event.dataTransfer.items) {
      const entry = item.webkitGetAsEntry();
      if (entry?.isDirectory) folders.add(entry.name);
    }
    const files = [...event.dataTransfer.files];
    this.take(files.filter(({ name }) => !folders.has(name)));
    for (const name of folders) this.complain(words.folder(name));
  }

  private remember(row: HTMLElement): void {
    const { number, name = "", size, received } = row.dataset;
    const known: Known = {
      number: Number(number),
      name,
      size: Number(size),
      received: Number(received),
      pieces: [],
    };
    this.add(Sending.known(known, row, this.hooks, this.sizes));
  }

  private take(chosen: readonly File[]): void {
    this.complain("");
    // One after the other: what is known of a file must be compared before the next one is.
    this.queue = this.queue.then(async () => {
      for (const file of chosen) await this.takeOne(file);
      void this.sendAll();
    });
  }

  private async takeOne(file: File): Promise<void> {
    for (const known of this.files) {
      try {
        if (await known.continues(file, this.server)) return;
      } catch {
        // It cannot be compared just now: it comes as a new one.
      }
      if (known.isReplacedBy(file)) this.drop(known);
    }
    if (this.files.length >= this.most) return this.complain(words.tooMany(file.name, this.most));
    if (this.bytes() + file.size > this.limit) {
      return this.complain(words.tooLarge(file.name, this.limit));
    }
    const sending = new Sending(file.name, file.size, file, this.hooks, this.sizes);
    this.list.append(sending.row);
    this.add(sending);
  }

  private add(sending: Sending): void {
    this.files.push(sending);
    element(".upload-remove", sending.row).addEventListener("click", (event) => {
      event.preventDefault();
      this.remove(sending);
    });
    this.update();
  }

  private async sendAll(): Promise<void> {
    if (this.isSending) return;
    this.isSending = true;
    for (let next = this.next(); next; next = this.next()) {
      await this.removals;
      await next.send(this.server);
      if (next.state !== "here" || next.isStopped) continue;
      const ready = this.files.filter(({ state }) => state === "here").length;
      this.say(words.arrived(next.name, ready, this.files.length));
    }
    this.isSending = false;
  }

  private next(): Sending | undefined {
    return this.files.find(({ state, file }) => state === "waiting" && file);
  }

  private remove(sending: Sending): void {
    const place = this.files.indexOf(sending);
    this.drop(sending);
    const neighbour = this.files[Math.min(place, this.files.length - 1)];
    (neighbour ? element(".upload-remove", neighbour.row) : this.pick).focus();
    this.complain("");
  }

  private drop(sending: Sending): void {
    sending.stop();
    this.files = this.files.filter((one) => one !== sending);
    sending.row.remove();
    this.update();
    if (sending.number) this.removals = this.removals.then(() => this.removeThere(sending.number));
  }

  private async removeThere(number: number): Promise<void> {
    for (;;) {
      try {
        return await this.server.remove(number);
      } catch (failure) {
        if (failure instanceof Ended) location.reload();
        if (!(failure instanceof Lost)) return;
        await new Promise((resolve) => setTimeout(resolve, waitBeforeRetry));
      }
    }
  }

  private async share(): Promise<void> {
    if (this.sharing || !this.isReady()) return;
    this.sharing = true;
    this.complain("");
    this.update();
    const typed = Object.fromEntries(
      [...new FormData(this.form)].filter((field): field is [string, string] => typeof field[1] === "string"),
    );
    try {
      await this.removals;
      const { heading, sentence } = await this.server.share(typed);
      this.say("");
      this.end(heading, sentence);
    } catch (failure) {
      // A Share whose answer was lost has ended the page: it says that a letter tells the rest.
      if (failure instanceof Ended) location.reload();
      this.complain((failure instanceof Refused && failure.message) || words.failed);
    } finally {
      this.sharing = false;
      this.update();
    }
  }

  private end(heading: string, sentence: string): void {
    const title = document.createElement("h1");
    title.tabIndex = -1;
    title.textContent = heading;
    const text = document.createElement("p");
    text.textContent = sentence;
    element("main").replaceChildren(title, text);
    document.title = heading;
    title.focus();
  }

  private isReady(): boolean {
    return this.files.length > 0 && this.files.every(({ state }) => state === "here");
  }

  private bytes(): number {
    return this.files.reduce((sum, { size }) => sum + size, 0);
  }

  private update(): void {
    const count = this.files.length;
    this.total.textContent = count ? words.total(count, this.bytes(), this.limit) : "";
    this.button.disabled = this.sharing || !this.isReady();
    this.button.textContent = this.sharing ? words.sharing : words.share;
  }

  private say(text: string): void {
    this.line.textContent = text;
  }

  private complain(text: string): void {
    this.problem.textContent = text;
    this.problem.hidden = !text;
  }
}

new UploadPage();
