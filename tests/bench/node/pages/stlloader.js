// The plain page that many write: three.js and its STLLoader on the raw file.
import {
  DirectionalLight, DoubleSide, HemisphereLight, Mesh, MeshStandardMaterial, PerspectiveCamera, Scene, WebGLRenderer,
} from "three";
import { STLLoader } from "three/examples/jsm/loaders/STLLoader.js";

const renderer = new WebGLRenderer({ antialias: true });
renderer.setSize(innerWidth, innerHeight);
document.body.append(renderer.domElement);
const scene = new Scene();
const light = new DirectionalLight(0xffffff, 2);
light.position.set(-0.7, 0.7, 1);
scene.add(new HemisphereLight(0xffffff, 0xcfc8c0, 1.75), light);
new STLLoader().load("/scan.stl", (geometry) => {
  geometry.center();
  scene.add(new Mesh(geometry, new MeshStandardMaterial({ color: 0xe8dcc8, side: DoubleSide })));
  geometry.computeBoundingSphere();
  const camera = new PerspectiveCamera(40, innerWidth / innerHeight, 1, 1000);
  camera.position.z = 3 * geometry.boundingSphere.radius;
  requestAnimationFrame(() => renderer.render(scene, camera));
});
