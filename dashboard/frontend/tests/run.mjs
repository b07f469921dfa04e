// Unit tests of the pure modules: bundled by Vite, because Node 20 does not read TypeScript, and run
// by Node's own test runner.

import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const here = fileURLToPath(new URL(".", import.meta.url));
const built = join(here, "..", "node_modules", ".cache", "tests");
const tests = readdirSync(here).filter((name) => name.endsWith(".test.ts"));

rmSync(built, { recursive: true, force: true });
await build({
  configFile: false,
  logLevel: "warn",
  build: {
    ssr: true,
    outDir: built,
    rollupOptions: {
      input: Object.fromEntries(tests.map((name) => [name.replace(/\.ts$/, ""), join(here, name)])),
      output: { entryFileNames: "[name].mjs" },
    },
  },
});
const files = tests.map((name) => join(built, name.replace(/\.ts$/, ".mjs")));
process.exit(spawnSync(process.execPath, ["--test", ...files], { stdio: "inherit" }).status ?? 1);
