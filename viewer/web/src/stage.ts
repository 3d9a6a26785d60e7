/**
 * The stage: canvas, light, and a camera that takes poses. It draws only when asked to, and knows nothing
 * of cases.
 */

import {
  DirectionalLight,
  Group,
  HemisphereLight,
  MathUtils,
  type Mesh,
  OrthographicCamera,
  Raycaster,
  Scene,
  Vector2,
  Vector3,
  WebGLRenderer,
} from "three";
import { type Direction, type Pose, between, fitting, moved, place, turned, zoomed } from "./pose";

export interface Subject {
  /** The points that "Fit" must bring into the picture, in the world. */
  points(): Vector3[];
  /** What a ray can hit. */
  surfaces(): Mesh[];
  /** Puts what is seen through into order, before a frame seen from that side. */
  arrange(towardsViewer: Vector3): void;
}

const margin = 1.1;
const flightMilliseconds = 150;
const sharpest = 2;
/** Millimetres from the target to the camera, and from there on again: more than any scan's size. */
const distance = 1000;

export class Stage {
  readonly canvas = document.createElement("canvas");
  /** Holds the scans, in their own coordinates; its rotation brings them into the patient's frame. */
  readonly jaws = new Group();
  readonly camera = new OrthographicCamera();

  /** What is to be seen; the scans put themselves here. */
  subject: Subject = { points: () => [], surfaces: () => [], arrange: () => {} };

  private readonly calm = matchMedia("(prefers-reduced-motion: reduce)");
  private readonly renderer: WebGLRenderer;
  private readonly scene = new Scene();
  private readonly sky = new HemisphereLight(0xffffff, 0xcfc8c0, 1.75);
  private readonly frameListeners: ((drawn: Stage) => void)[] = [];
  private nextFrameListeners: (() => void)[] = [];
  private waiting = 0;

  private pose: Pose = { azimuth: 0, polar: Math.PI / 2, target: new Vector3(), zoom: 1 };
  private flight?: { readonly from: Pose; readonly to: Pose; readonly began: number } | undefined;
  private fitZoom = 1;
  /** Whether the picture still shows the whole subject, as no hand has moved it since. */
  private fitted = true;
  /** Whether the target lies on the surface in the middle of the picture. */
  private anchored = true;

  /** Throws when the browser has no WebGL. */
  constructor(private readonly holder: HTMLElement) {
    this.renderer = new WebGLRenderer({ canvas: this.canvas, antialias: true, alpha: true });
    this.canvas.tabIndex = 0;
    this.canvas.addEventListener("webglcontextrestored", () => this.requestFrame());
    this.lightFromAboveLeft();
    this.scene.add(this.jaws, this.camera, this.sky);
    holder.append(this.canvas);
    new ResizeObserver(() => this.resize()).observe(holder);
    this.resize();
  }

  /** Draws once, soon. However often it is asked, one frame is drawn. */
  requestFrame(): void {
    this.waiting ||= requestAnimationFrame((now) => this.drawFrame(now));
  }

  afterNextFrame(once: () => void): void {
    this.nextFrameListeners.push(once);
    this.requestFrame();
  }

  onFrame(listener: (drawn: Stage) => void): void {
    this.frameListeners.push(listener);
  }

  /** Brings the subject into the picture, from a direction or from where the camera stands. */
  fit(to: Direction = this.goal(), animate = true): void {
    const points = this.subject.points();
    if (!points.length) return;
    const { clientWidth, clientHeight } = this.holder;
    const { azimuth, polar } = to;
    const pose = fitting(points, { azimuth, polar }, clientWidth / margin, clientHeight / margin);
    this.fitZoom = pose.zoom;
    this.fitted = this.anchored = true;
    this.take(pose, animate);
  }

  /** Fits again after more has come, unless a hand has already chosen what to see. */
  refit(): void {
    if (this.fitted) this.fit(this.goal(), false);
    this.requestFrame();
  }

  /** A hand takes hold: whatever moved stands still under it. */
  grasp(): void {
    this.flight = undefined;
  }

  /** Turns with a drag of so many pixels: half a turn across the shorter side. */
  turn(right: number, down: number, animate = false): void {
    const { clientWidth, clientHeight } = this.holder;
    const radians = Math.PI / Math.min(clientWidth, clientHeight);
    this.anchor();
    this.fitted = false;
    this.take(turned(this.goal(), -right * radians, -down * radians), animate);
  }

  move(right: number, down: number, animate = false): void {
    this.fitted = this.anchored = false;
    this.take(moved(this.goal(), right, down), animate);
  }

  /** Zooms about a point, in pixels right of and below the middle. */
  zoom(factor: number, right = 0, down = 0, animate = false): void {
    const goal = this.goal();
    const zoom = MathUtils.clamp(goal.zoom * factor, this.fitZoom / 4, Math.max(this.fitZoom * 40, 100));
    this.fitted = this.anchored = false;
    this.take(zoomed(goal, zoom, right, down), animate);
  }

  /** How the camera stands, or is about to. */
  goal(): Pose {
    return this.flight?.to ?? this.pose;
  }

  /** The unit vector from the target to the camera, in the scans' own coordinates. */
  viewpoint(): Vector3 {
    const towards = new Vector3(0, 0, 1).applyQuaternion(this.camera.quaternion);
    return towards.applyQuaternion(this.jaws.quaternion.clone().invert());
  }

  private take(pose: Pose, animate: boolean): void {
    if (animate && !this.calm.matches) {
      this.flight = { from: this.pose, to: pose, began: performance.now() };
    } else {
      this.flight = undefined;
      this.pose = pose;
    }
    this.requestFrame();
  }

  private drawFrame(now: number): void {
    this.waiting = 0;
    this.fly(now);
    place(this.camera, this.pose, distance);
    this.sky.position.set(0, 1, 0).applyQuaternion(this.camera.quaternion);
    this.subject.arrange(new Vector3(0, 0, 1).applyQuaternion(this.camera.quaternion));
    this.renderer.render(this.scene, this.camera);
    for (const listener of this.frameListeners) listener(this);
    for (const listener of this.nextFrameListeners.splice(0)) listener();
    if (this.flight) this.requestFrame();
  }

  private fly(now: number): void {
    if (!this.flight) return;
    const { from, to, began } = this.flight;
    const part = MathUtils.clamp((now - began) / flightMilliseconds, 0, 1);
    this.pose = between(from, to, 1 - (1 - part) ** 3);
    if (part === 1) this.flight = undefined;
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.holder;
    if (!width || !height) return;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, sharpest));
    this.renderer.setSize(width, height);
    this.camera.left = -width / 2;
    this.camera.right = width / 2;
    this.camera.top = height / 2;
    this.camera.bottom = -height / 2;
    this.refit();
  }

  /**
   * After a move or a zoom, puts the target onto the surface in the middle of the picture, so that a tooth
   * that was brought there stays there while it is turned. Along the line of sight this moves no pixel.
   */
  private anchor(): void {
    if (this.anchored || this.flight) return;
    this.anchored = true;
    place(this.camera, this.pose, distance);
    const ray = new Raycaster();
    ray.setFromCamera(new Vector2(), this.camera);
    const [hit] = ray.intersectObjects(this.subject.surfaces(), false);
    if (hit) this.pose = { ...this.pose, target: hit.point };
  }

  private lightFromAboveLeft(): void {
    const head = new DirectionalLight(0xffffff, 2);
    head.position.set(-0.7, 0.7, 1);
    this.camera.add(head, head.target);
  }
}
