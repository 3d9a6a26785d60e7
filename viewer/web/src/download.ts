/** Brings a file's bytes, telling how many have come, and goes on where a broken connection stopped. */

export type DownloadFailure = "connection" | "ended" | "locked" | "server" | "content";

export class DownloadError extends Error {
  constructor(readonly reason: DownloadFailure) {
    super(reason);
  }
}

interface Hooks {
  received(bytes: number): void;
  retrying(): void;
}

const waitsBeforeRetry = [1000, 3000];

export async function download(url: string, hooks: Hooks): Promise<ArrayBuffer> {
  const unfinished: Unfinished = { chunks: [], bytes: 0, resumable: false };
  for (const wait of [...waitsBeforeRetry, undefined]) {
    try {
      await receive(url, unfinished, hooks);
      return joined(unfinished);
    } catch (error) {
      const broken = !(error instanceof DownloadError);
      if (!broken) throw error;
      if (wait === undefined) throw new DownloadError("connection");
      hooks.retrying();
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
  throw new DownloadError("connection");
}

interface Unfinished {
  chunks: Uint8Array<ArrayBuffer>[];
  bytes: number;
  /** The server takes ranges, and counts them as we do: in bytes that are unpacked already. */
  resumable: boolean;
}

async function receive(url: string, unfinished: Unfinished, hooks: Hooks): Promise<void> {
  const resume = unfinished.resumable && unfinished.bytes > 0;
  const response = await fetch(url, resume ? { headers: { Range: `bytes=${unfinished.bytes}-` } } : {});
  const { status, headers, body } = response;
  if (status === 403) throw new DownloadError("locked");
  if (status === 404 || status === 410) throw new DownloadError("ended");
  if (!response.ok || !body) throw new DownloadError("server");
  const continues =
    status === 206 && headers.get("Content-Range")?.startsWith(`bytes ${unfinished.bytes}-`);
  if (!continues) {
    unfinished.chunks = [];
    unfinished.bytes = 0;
  }
  unfinished.resumable = headers.get("Accept-Ranges") === "bytes";
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    unfinished.chunks.push(value);
    unfinished.bytes += value.length;
    hooks.received(unfinished.bytes);
  }
}

function joined({ chunks, bytes }: Unfinished): ArrayBuffer {
  const whole = new Uint8Array(bytes);
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.length;
  }
  return whole.buffer;
}
