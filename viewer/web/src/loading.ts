/**
 * What comes when: the previews of all parts, the first picture, then full detail part by part; on a
 * device that must be spared a lighter level, and full detail when it is asked for.
 * Nothing that fails takes away what is already seen.
 */

import type { Detail } from "./case";
import { DownloadError, type DownloadFailure, download } from "./download";
import { list } from "./language";
import { expectLarge, readSurface } from "./surfaces";
import type { Line } from "./line";
import type { Part, Parts } from "./parts";
import { progress, size, words } from "./words";

type Finer = Exclude<Detail, "preview">;
type Failures = Map<Part, DownloadFailure>;

/** How long the first picture waits for the slowest preview once another one is there. */
const patience = 1500;
/** More triangles than a phone should be asked to hold without being asked. */
const manyForAPhone = 3_000_000;

export class Loading {
  constructor(
    private readonly parts: Parts,
    private readonly line: Line,
    /** Called whenever more can be seen: with the first previews, with late ones, and at full detail. */
    private readonly reached: (state: "preview" | "full" | "failed") => void,
  ) {}

  /** Brings what is missing; also the way to try again. */
  async start(): Promise<void> {
    this.line.hush("failure");
    this.line.say("loading", words.loadingPreviews);
    const failures = await this.previews(this.parts.all.filter(({ detail }) => detail === "none"));
    this.line.hush("loading");
    const drawn = this.parts.all.some(({ detail }) => detail !== "none");
    if (!this.parts.all.length) return;
    this.reached(drawn ? "preview" : "failed");
    this.tellFailures(failures);
    if (!drawn || [...failures.values()].some(isFinal)) return;
    if (!mustSpare(this.parts)) {
      await this.bringAll("full");
      return;
    }
    await this.bringAll("medium");
    if (this.coarse("full").length) this.offerFull();
  }

  /** Brings one part in full, for what needs all of it. */
  async bringFull(part: Part): Promise<void> {
    if (part.detail === "full") return;
    const failure = await this.bring(part, "full", () => {});
    if (failure) throw new DownloadError(failure);
    this.reached("full");
  }

  private offerFull(): void {
    this.line.say("quality", words.lighter, {
      label: words.fetchFull(size(bytesOf(this.coarse("full"), "full"))),
      run: () => void this.bringAll("full"),
    });
  }

  private async previews(parts: readonly Part[]): Promise<Failures> {
    const failures: Failures = new Map();
    let soon: ReturnType<typeof setTimeout> | undefined;
    const bring = async (part: Part) => {
      const failure = await this.bring(part, "preview", () => {});
      if (failure) failures.set(part, failure);
      else soon ??= setTimeout(() => this.reached("preview"), patience);
    };
    await Promise.all(parts.map(bring));
    clearTimeout(soon);
    return failures;
  }

  private async bringAll(detail: Finer): Promise<void> {
    const parts = this.coarse(detail).sort((one, other) => precedence(one) - precedence(other));
    const total = bytesOf(parts, detail);
    const failures: Failures = new Map();
    const received = new Map<Part, number>();
    const fetch = (part: Part) =>
      this.fetch(part, detail, (bytes) => {
        received.set(part, bytes);
        const sum = [...received.values()].reduce((all, one) => all + one, 0);
        this.line.say("loading", words.loadingFull(progress(sum, total)));
      });
    this.line.hush("quality");
    expectLarge();
    let coming = parts[0] && fetch(parts[0]);
    for (const [place, part] of parts.entries()) {
      const file = await coming!;
      if (isFinal(file)) {
        failures.set(part, file);
        break;
      }
      // The next one is on its way while this one is prepared and drawn.
      const next = parts[place + 1];
      coming = next && fetch(next);
      const failure = await this.show(part, detail, file);
      if (failure) failures.set(part, failure);
    }
    this.line.hush("loading");
    this.line.hush("failure");
    this.tellFailures(failures);
    if (this.coarse("full").length) return;
    this.line.say("quality", words.fullDetail);
    this.reached("full");
  }

  /** The parts that are not yet seen so finely; a part without a preview may still be. */
  private coarse(wanted: Finer): Part[] {
    return this.parts.all.filter(({ detail }) => detail !== "full" && detail !== wanted);
  }

  private async bring(
    part: Part,
    detail: Detail,
    received: (bytes: number) => void,
  ): Promise<DownloadFailure | undefined> {
    return this.show(part, detail, await this.fetch(part, detail, received));
  }

  /** A file's bytes, or why they did not come. */
  private async fetch(
    { scan }: Part,
    detail: Detail,
    received: (bytes: number) => void,
  ): Promise<ArrayBuffer | DownloadFailure> {
    const retrying = () => this.line.say("loading", words.retrying);
    try {
      return await download(scan[detail], { received, retrying });
    } catch (error) {
      return reasonOf(error);
    }
  }

  private async show(
    part: Part,
    detail: Detail,
    file: ArrayBuffer | DownloadFailure,
  ): Promise<DownloadFailure | undefined> {
    if (typeof file === "string") return file;
    try {
      part.show(await readSurface(file), part.scan[detail] === part.scan.full ? "full" : detail);
      return undefined;
    } catch (error) {
      return reasonOf(error);
    }
  }

  /** One sentence at a time: first on what cannot be seen at all. */
  private tellFailures(failures: Failures): void {
    const [part, why] = worst(failures) ?? [];
    if (!part || !why) return;
    if (why === "ended") {
      this.line.say("failure", words.ended);
      return;
    }
    if (why === "locked") {
      const openAgain = { label: words.openAgain, run: () => location.reload() };
      this.line.say("failure", words.locked, openAgain);
      return;
    }
    const unseen = part.detail === "none";
    const alike = [...failures].filter(
      ([other, reason]) => reason === why && (other.detail === "none") === unseen,
    );
    const labels = list(alike.map(([{ scan }]) => scan.label));
    const sentence = unseen ? words.previewFailed : words.fullFailed;
    this.line.say("failure", sentence(labels, why), {
      label: words.tryAgain,
      run: () => void this.start(),
    });
  }
}

function reasonOf(error: unknown): DownloadFailure {
  return error instanceof DownloadError ? error.reason : "content";
}

/** The link or this visit is over: no other file would come either. */
function isFinal(failure: ArrayBuffer | DownloadFailure): failure is "ended" | "locked" {
  return failure === "ended" || failure === "locked";
}

function worst(failures: Failures): [Part, DownloadFailure] | undefined {
  return [...failures].find(([{ detail }]) => detail === "none") ?? [...failures][0];
}

/** Full detail comes first where the question is: the design, the prepared jaw, its antagonist, the bite. */
function precedence({ scan: { role } }: Part): number {
  if (/design|crown|cad|wax/.test(role)) return 0;
  if (/prep|die/.test(role)) return 1;
  if (/bite|buccal/.test(role)) return 3;
  return 2;
}

function bytesOf(parts: readonly Part[], detail: Finer): number {
  return parts.reduce((sum, { scan }) => sum + scan[`${detail}_bytes`], 0);
}

/** Whether the visitor's device asks, or must be presumed, to be spared. */
function mustSpare({ all }: Parts): boolean {
  const device = navigator as Navigator & {
    connection?: { saveData?: boolean };
    deviceMemory?: number;
  };
  if (device.connection?.saveData || (device.deviceMemory ?? 8) <= 4) return true;
  const triangles = all.reduce((sum, { scan }) => sum + scan.triangles, 0);
  return matchMedia("(pointer: coarse)").matches && triangles > manyForAPhone;
}

