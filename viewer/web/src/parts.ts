/** The scans of the case: each with its mesh on the stage and its row in the list. */

import { Mesh, Vector3 } from "three";
import type { BufferGeometry, MeshStandardMaterial } from "three";
import { type Detail, type Scan, element } from "./case";
import type { Surface } from "./geometry";
import { colour, depthMaterial, scanMaterial, swatch } from "./material";
import type { Stage } from "./stage";
import { words } from "./words";

export class Part {
  /** What the visitor wants; a view may still lay the part aside for as long as it lasts. */
  wanted = true;
  aside = false;
  detail: "none" | Detail = "none";
  /** A few hundred points of the surface in the patient's frame: enough to fit and to compare heights. */
  points: Vector3[] = [];
  mesh?: Mesh;
  private veil?: Mesh;
  private opacity = 1;

  constructor(
    readonly scan: Scan,
    private readonly stage: Stage,
  ) {}

  get visible(): boolean {
    return this.wanted && !this.aside;
  }

  get height(): number {
    return this.points.reduce((sum, { y }) => sum + y, 0) / (this.points.length || 1);
  }

  /** Puts a surface on the stage, in place of a coarser one. */
  show({ geometry, texture }: Surface, detail: Detail): void {
    if (this.mesh) {
      this.mesh.geometry.dispose();
      this.mesh.geometry = this.veil!.geometry = geometry;
    } else {
      this.mesh = new Mesh(geometry, scanMaterial(this.scan.role));
      this.veil = new Mesh(geometry, depthMaterial());
      this.stage.jaws.add(this.veil, this.mesh);
      this.appear();
    }
    colour(this.mesh.material as MeshStandardMaterial, this.scan.role, geometry, texture);
    this.detail = detail;
    this.stage.jaws.updateMatrixWorld(true);
    this.points = sample(geometry).map((point) => point.applyMatrix4(this.mesh!.matrixWorld));
    this.stage.requestFrame();
  }

  setOpacity(opacity: number): void {
    this.opacity = opacity;
    this.appear();
  }

  /** Makes the stage agree with what is wanted of this part. */
  appear(): void {
    if (!this.mesh || !this.veil) return;
    const material = this.mesh.material as MeshStandardMaterial;
    const seeThrough = this.opacity < 1;
    if (material.transparent !== seeThrough) material.needsUpdate = true;
    material.transparent = seeThrough;
    material.opacity = this.opacity;
    this.mesh.visible = this.visible;
    this.veil.visible = this.visible && seeThrough;
    this.stage.requestFrame();
  }

  /** See-through parts are drawn from the farthest to the nearest, each after its own depth. */
  drawAfter(order: number): void {
    if (this.mesh) this.mesh.renderOrder = order * 2 + 1;
    if (this.veil) this.veil.renderOrder = order * 2;
  }
}

export class Parts {
  readonly all: readonly Part[];
  private readonly rows = new Map<Part, Row>();
  private readonly listeners: (() => void)[] = [];

  constructor(scans: readonly Scan[], stage: Stage) {
    this.all = scans.map((scan) => new Part(scan, stage));
    for (const part of this.all) this.rows.set(part, new Row(part, () => this.changed()));
    stage.subject = {
      points: () => this.seen().flatMap(({ points }) => points),
      surfaces: () => this.seen().flatMap(({ mesh }) => mesh ?? []),
      arrange: (towardsViewer) => this.orderByDistance(towardsViewer),
    };
  }

  onChange(listener: () => void): void {
    this.listeners.push(listener);
  }

  /** Lays these parts aside for a view, and brings back what the last view laid aside. */
  layAside(parts: readonly Part[]): void {
    for (const part of this.all) part.aside = parts.includes(part);
    this.changed();
  }

  showAll(): void {
    for (const part of this.all) part.wanted = true;
    this.layAside([]);
  }

  private changed(): void {
    for (const part of this.all) {
      part.appear();
      this.rows.get(part)?.tell();
    }
    for (const listener of this.listeners) listener();
  }

  private seen(): Part[] {
    const visible = this.all.filter((part) => part.visible && part.mesh);
    return visible.length ? visible : this.all.filter((part) => part.mesh);
  }

  private orderByDistance(towards: Vector3): void {
    const nearness = (part: Part) =>
      part.points.reduce((sum, point) => sum + point.dot(towards), 0) / (part.points.length || 1);
    const order = this.all.map((part) => ({ part, near: nearness(part) }));
    order.sort((one, other) => one.near - other.near);
    order.forEach(({ part }, place) => part.drawAfter(place));
  }
}

/** A part's line in the list: its show button and its opacity. */
class Row {
  private readonly toggle: HTMLButtonElement;
  private readonly state: HTMLElement;

  constructor(
    private readonly part: Part,
    changed: () => void,
  ) {
    const row = element(`[data-part="${part.scan.n}"]`);
    this.toggle = element<HTMLButtonElement>(".part-toggle", row);
    this.state = element(".part-state", row);
    const slider = element<HTMLInputElement>("input[type=range]", row);
    const output = element<HTMLOutputElement>("output", row);
    const { role, colours } = part.scan;
    element(".part-swatch", row).style.background = swatch(role, colours);

    this.toggle.addEventListener("click", () => {
      part.wanted = !part.visible;
      part.aside = false;
      changed();
    });
    slider.addEventListener("input", () => {
      output.value = `${slider.value} %`;
      part.setOpacity(slider.valueAsNumber / 100);
    });
    // A browser may keep the slider's place over a reload.
    slider.value = "100";
  }

  tell(): void {
    this.toggle.setAttribute("aria-pressed", String(this.part.visible));
    this.state.textContent = this.part.visible ? words.shown : words.hidden;
  }
}

const samples = 600;

/** Points spread over the surface, with its outermost in every axis among them. */
function sample(geometry: BufferGeometry): Vector3[] {
  const position = geometry.getAttribute("position");
  const step = Math.max(1, Math.floor(position.count / samples));
  const chosen = new Set<number>();
  for (let axis = 0; axis < 3; axis++) {
    let least = 0;
    let most = 0;
    for (let i = 1; i < position.count; i++) {
      const value = position.getComponent(i, axis);
      if (value < position.getComponent(least, axis)) least = i;
      if (value > position.getComponent(most, axis)) most = i;
    }
    chosen.add(least).add(most);
  }
  for (let i = 0; i < position.count; i += step) chosen.add(i);
  return [...chosen].map((i) => new Vector3().fromBufferAttribute(position, i));
}
