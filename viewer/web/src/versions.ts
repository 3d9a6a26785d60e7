/** The versions of the case, one at a time under the same camera. */

import { type Case, element } from "./case";
import type { Line } from "./line";
import type { Loading } from "./loading";
import type { Parts } from "./parts";
import { words } from "./words";

/** Triangles of all parts that are kept at once, for the next switch. */
const mostKept = 6_000_000;

export class Versions {
  shown: number;
  private readonly listeners: ((version: number) => void)[] = [];

  constructor(
    private readonly shared: Case,
    private readonly parts: Parts,
    private readonly loading: Loading,
    private readonly line: Line,
  ) {
    this.shown = shared.version;
    for (const { number } of shared.versions) {
      document
        .querySelector(`button[data-version="${number}"]`)
        ?.addEventListener("click", () => this.show(number));
    }
  }

  onChange(listener: (version: number) => void): void {
    this.listeners.push(listener);
  }

  show(version: number): void {
    if (version === this.shown) return;
    this.shown = version;
    this.parts.present(version);
    this.spareMemory();
    for (const { number } of this.shared.versions) {
      const here = number === version;
      element(`button[data-version="${number}"]`).setAttribute("aria-pressed", String(here));
      element(`[data-of="${number}"]`).hidden = !here;
    }
    element(".case .version-number").textContent = String(version);
    for (const tell of this.listeners) tell(version);
    if (version === this.shared.version) this.line.hush("version");
    else this.line.say("version", words.oldVersion(version));
    void this.loading.start();
  }

  /** A version that is out of sight is kept for the way back, while there is room for it. */
  private spareMemory(): void {
    const held = this.parts.every.filter(({ detail }) => detail !== "none");
    let triangles = held.reduce((sum, { scan }) => sum + scan.triangles, 0);
    for (const part of held) {
      if (triangles <= mostKept) return;
      if (part.present) continue;
      triangles -= part.scan.triangles;
      part.drop();
    }
  }
}
