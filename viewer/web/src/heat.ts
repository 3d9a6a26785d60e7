/**
 * Maps on the scans: how near the other jaw is, and what has changed since the version before. The server
 * has measured them, a number a vertex of full detail; here they get their colours, and words at the
 * pointer.
 */

import { Vector3 } from "three";
import { make } from "./dom";
import { download } from "./download";
import { list } from "./language";
import type { Legend } from "./legend";
import type { Line } from "./line";
import type { Loading } from "./loading";
import type { Overlay } from "./overlay";
import type { Part, Parts } from "./parts";
import { type Stop, colourAt, nothing } from "./scales";
import type { Spot, Stage } from "./stage";
import type { Tool } from "./tools";
import { signed, words } from "./words";

export type HeatName = "contacts" | "change";

const noValue = -32768;
const perMillimetre = 1000;
/** Entries of a table over all values of a scale, so that a million vertices take no time. */
const tableSize = 2048;

export class Heat implements Tool {
  readonly isLayer = true;
  private on = false;
  /** By their addresses: a scan that two versions show has a map in each. */
  private readonly values = new Map<string, Int16Array>();
  /** The number at the pointer, also for ears. */
  private readonly read = make("span", { class: "legend-reading", role: "status" });
  private reading: { readonly at: Vector3; readonly text: string } | undefined;

  constructor(
    readonly name: HeatName,
    private readonly scale: readonly Stop[],
    private readonly facts: () => readonly string[],
    private readonly stage: Stage,
    private readonly parts: Parts,
    private readonly loading: Loading,
    private readonly line: Line,
    private readonly overlay: Overlay,
    private readonly legend: Legend,
  ) {
    overlay.add((pen) => {
      if (!this.on || !this.reading) return;
      const spot = stage.spot(this.reading.at);
      pen.dot(spot);
      pen.label(this.reading.text, { x: spot.x, y: spot.y - 24 });
    });
  }

  start(): readonly Node[] {
    this.on = true;
    void this.paint();
    return [];
  }

  stop(): void {
    this.on = false;
    this.reading = undefined;
    this.legend.hide();
    this.line.hush("failure");
    for (const part of this.parts.every) part.setPaint();
  }

  tap(spot: Spot): void {
    this.hover(spot);
  }

  hover(spot: Spot | undefined): void {
    const met = spot && this.parts.meet(this.stage.ray(spot));
    const value = met && this.valueAt(met.part, met.triangle, met.point);
    this.reading =
      met && value !== undefined ? { at: met.point, text: words.heat[this.name](signed(value)) } : undefined;
    this.read.textContent = this.reading?.text ?? "";
    this.overlay.refresh();
  }

  private async paint(): Promise<void> {
    this.line.hush("failure");
    const mapped = this.parts.all.filter(({ scan }) => scan[this.name]);
    this.line.say("loading", words.loadingMap);
    const failed: Part[] = [];
    for (const part of mapped) {
      const values = await this.valuesOf(part);
      if (!this.on) break;
      if (values) part.setPaint(this.coloursOf(values));
      else failed.push(part);
    }
    this.line.hush("loading");
    if (!this.on) return;
    const facts = this.facts().map((fact) => make("span", { class: "legend-fact" }, fact));
    this.legend.show(words.legends[this.name], this.scale, [this.read, ...facts]);
    // What no map speaks of steps back: its own colours would be taken for the scale's.
    for (const part of this.parts.all) if (!mapped.includes(part)) part.setPaint(plain(part));
    if (!failed.length) return;
    const again = { label: words.tryAgain, run: () => void this.paint() };
    this.line.say("failure", words.mapFailed(list(failed.map(({ scan }) => scan.label))), again);
  }

  private async valuesOf(part: Part): Promise<Int16Array | undefined> {
    const address = part.scan[this.name];
    const known = this.values.get(address);
    try {
      await this.loading.bringFull(part);
      if (part.detail !== "full" || !part.surface) return undefined;
      const bytes = known ? undefined : await download(address, silent);
      const values = known ?? new Int16Array(bytes!);
      this.values.set(address, values);
      return values.length * 3 === part.surface.positions.length ? values : undefined;
    } catch {
      return undefined;
    }
  }

  private coloursOf(values: Int16Array): Uint8Array {
    const [low, high] = [this.scale[0]!.at, this.scale.at(-1)!.at];
    const table = Array.from({ length: tableSize }, (_, i) =>
      colourAt(this.scale, low + ((high - low) * i) / (tableSize - 1)).map(toLinear),
    );
    const none = nothing.map(toLinear);
    const beyond = this.name === "contacts";
    const colours = new Uint8Array(values.length * 4);
    for (let v = 0; v < values.length; v++) {
      const value = values[v]!;
      const part = (value / perMillimetre - low) / (high - low);
      const empty = value === noValue || (beyond && part > 1);
      const entry = Math.min(Math.max(Math.round(part * (tableSize - 1)), 0), tableSize - 1);
      const [red, green, blue] = empty ? none : table[entry]!;
      colours[v * 4] = red!;
      colours[v * 4 + 1] = green!;
      colours[v * 4 + 2] = blue!;
      colours[v * 4 + 3] = 255;
    }
    return colours;
  }

  /** Between a triangle's three corners, as its colour is. */
  private valueAt(part: Part, triangle: number, point: Vector3): number | undefined {
    const values = this.values.get(part.scan[this.name]);
    const surface = part.surface;
    if (!values || !surface) return undefined;
    const corners = [0, 1, 2].map((corner) => surface.corners[triangle * 3 + corner]!);
    const read = corners.map((corner) => values[corner]!);
    if (read.includes(noValue)) return undefined;
    const [a, b, c] = corners.map((corner) =>
      new Vector3().fromArray(surface.positions, corner * 3),
    ) as [Vector3, Vector3, Vector3];
    const area = (one: Vector3, two: Vector3) =>
      one.clone().sub(point).cross(two.clone().sub(point)).length();
    const shares = [area(b, c), area(c, a), area(a, b)];
    const whole = shares[0]! + shares[1]! + shares[2]! || 1;
    const sum = read.reduce((total, value, i) => total + value * shares[i]!, 0);
    return sum / whole / perMillimetre;
  }
}

const silent = { received: () => {}, retrying: () => {} };

function plain({ surface }: Part): Uint8Array | undefined {
  if (!surface) return undefined;
  const [red, green, blue] = nothing.map(toLinear);
  const colours = new Uint8Array((surface.positions.length / 3) * 4);
  for (let i = 0; i < colours.length; i += 4) colours.set([red!, green!, blue!, 255], i);
  return colours;
}

/** Vertex colours are linear light (glTF 2.0, 3.7.2.1). */
function toLinear(value: number): number {
  const part = value / 255;
  return Math.round(255 * (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
}
