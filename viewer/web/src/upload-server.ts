/** What the upload page asks of the server, and how it fails: for now, for this request, or for good. */

import { asJson } from "./language";

export interface Known {
  readonly number: number;
  readonly name: string;
  readonly size: number;
  readonly received: number;
  readonly pieces: readonly { readonly size: number; readonly sha256: string }[];
}

export type Hindrance = "connection" | "busy" | "full";

/** Nothing came of it this time; a later attempt may succeed. */
export class Lost extends Error {
  constructor(readonly why: Hindrance = "connection") {
    super(why);
  }
}

/** The server does not take it; what it says is for the person. */
export class Refused extends Error {}

/** The next piece begins elsewhere: another tab was quicker, or an answer was lost. */
export class Elsewhere extends Error {
  constructor(readonly received: number) {
    super();
  }
}

/** The page takes nothing any more. */
export class Ended extends Error {}

const patience = 60_000;
/** Answers after which it is worth while to ask again. */
const forNow = new Map<number, Hindrance>([
  [0, "connection"],
  [408, "connection"],
  [500, "busy"],
  [502, "busy"],
  [503, "busy"],
  [504, "busy"],
  [507, "full"],
]);

export class Server {
  constructor(private readonly path: string) {}

  async list(): Promise<Known[]> {
    return ((await this.ask("GET", "/files")) as { files: Known[] }).files;
  }

  async add(name: string, size: number, mark: string): Promise<Known> {
    return (await this.ask("POST", "/files", { name, size, mark })) as Known;
  }

  async received(file: number): Promise<number> {
    return ((await this.ask("GET", `/files/${file}`)) as Known).received;
  }

  async remove(file: number): Promise<void> {
    await this.ask("POST", `/files/${file}/remove`, {});
  }

  async share(typed: Record<string, string>): Promise<{ heading: string; sentence: string }> {
    return (await this.ask("POST", "/share", typed)) as { heading: string; sentence: string };
  }

  /** Sends one piece; tells how many of its bytes are on their way. The one request that fetch cannot tell of. */
  piece(
    file: number,
    offset: number,
    bytes: ArrayBuffer,
    told: (sent: number) => void,
    signal: AbortSignal,
  ): Promise<number> {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      const stop = () => request.abort();
      let idle = setTimeout(stop, patience);
      const end = () => {
        clearTimeout(idle);
        signal.removeEventListener("abort", stop);
        try {
          const said = read(request.status, request.responseText) as { received: number };
          resolve(said.received);
        } catch (failure) {
          reject(failure);
        }
      };
      request.upload.addEventListener("progress", ({ loaded }) => {
        clearTimeout(idle);
        idle = setTimeout(stop, patience);
        told(loaded);
      });
      request.addEventListener("loadend", end);
      signal.addEventListener("abort", stop);
      request.open("PATCH", `${this.path}/files/${file}`);
      for (const [name, value] of Object.entries(asJson)) request.setRequestHeader(name, value);
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.setRequestHeader("Upload-Offset", String(offset));
      request.send(bytes);
    });
  }

  private async ask(method: string, path: string, body?: unknown): Promise<unknown> {
    const given: RequestInit = { method, headers: asJson, signal: AbortSignal.timeout(patience) };
    if (body !== undefined) {
      given.headers = { ...asJson, "Content-Type": "application/json" };
      given.body = JSON.stringify(body);
    }
    let status: number;
    let text: string;
    try {
      const response = await fetch(`${this.path}${path}`, given);
      status = response.status;
      text = await response.text();
    } catch {
      throw new Lost();
    }
    return read(status, text);
  }
}

function read(status: number, text: string): unknown {
  const why = forNow.get(status);
  if (why) throw new Lost(why);
  const said = values(text);
  if (status === 409 && typeof said["received"] === "number") throw new Elsewhere(said["received"]);
  if (status === 410) throw new Ended();
  if (status >= 400) throw new Refused(typeof said["sentence"] === "string" ? said["sentence"] : "");
  return said;
}

function values(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {}; // a page: of a removal, or of something between us and the server
  }
}
