import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { tryRun } from "../cluster/command.ts";
import { ClusterError } from "../cluster/errors.ts";
import type { Report } from "../cluster/report.ts";
import { ensureKafka } from "../stores/kafkajars.ts";
import { type BuiltImage, buildImage } from "./archive.ts";
import { baseEntries, USER_ID } from "./base.ts";
import { copyFolder, copyPlaces, textFile } from "./entries.ts";
import { makeLayer } from "./layer.ts";
import { copyLibraries } from "./libraries.ts";
import type { TarEntry } from "./tar.ts";

const ENTRYPOINTS = join(import.meta.dirname, "entrypoint");
/** What the start scripts call, and what helps a person who looks into a container. */
const TOOLS = [
  ...["sh", "cat", "chmod", "mkdir", "mv", "rm", "sed", "head", "base64", "tr", "locale"],
  ...["ls", "id", "sleep", "date", "df", "env", "redis-server", "redis-cli"],
];
/** Just-in-time compilation of queries needs 110 MB of LLVM and the server runs without. */
const LEFT_OUT_OF_POSTGRES = /\/(llvmjit[\w.-]*|bitcode|pgxs)$/;
/** What only a compiler or a desktop needs, and the archive of classes for heaps above 32 GB. */
const LEFT_OUT_OF_JAVA = /\/(jmods|include|demo|man|ct\.sym|src\.zip|classes_nocoops\.jsa)$/;
const LEFT_OUT_OF_ZONES = /\/zoneinfo\/(right|posix)$/;
const LEFT_OUT = [LEFT_OUT_OF_POSTGRES, LEFT_OUT_OF_JAVA, LEFT_OUT_OF_ZONES];

/**
 * Makes the image that runs PostgreSQL, Redis or Kafka in a pod, from the Debian packages that this machine runs the same
 * stores from: nothing is downloaded but Kafka, once.
 */
export async function buildStoresImage(report: Report): Promise<BuiltImage> {
  const kafka = await ensureKafka(report);
  const system = await makeLayer(await systemEntries());
  const jars = await makeLayer(copyFolder(kafka.dir, "opt/kafka"));
  const scripts = await makeLayer([
    ...readdirSync(ENTRYPOINTS).map((name) =>
      textFile(`entrypoint/${name}`, readFileSync(join(ENTRYPOINTS, name), "utf8"), 0o755),
    ),
    { kind: "directory", path: "data", mode: 0o755, uid: USER_ID, gid: USER_ID },
  ]);
  return buildImage({
    name: "stores",
    layers: [system, jars, scripts],
    config: {
      User: `${USER_ID}:${USER_ID}`,
      Entrypoint: ["/entrypoint/main"],
      Env: ["PATH=/usr/bin:/usr/sbin", "HOME=/tmp", "LANG=C.UTF-8"],
      WorkingDir: "/",
      // PostgreSQL waits for its clients at SIGTERM, the signal of an image that names none.
      StopSignal: "SIGINT",
    },
  });
}

async function systemEntries(): Promise<TarEntry[]> {
  const postgres = postgresFolders();
  const javaHome = await findJavaHome();
  const tools = TOOLS.map(findTool);
  const folders = [...postgres, javaHome];
  const places = [...folders, "/usr/share/zoneinfo", "/usr/lib/locale/C.utf8", ...tools].filter(existsSync);
  const entries = copyPlaces(places, (path) => !LEFT_OUT.some((left) => left.test(path)));
  const programs = entries.flatMap((entry) =>
    entry.kind === "file" && "source" in entry && isProgram(entry) ? [entry.source] : [],
  );
  const java: TarEntry = {
    kind: "symlink",
    path: "usr/bin/java",
    mode: 0o777,
    target: join(javaHome, "bin", "java"),
  };
  return [...baseEntries("/tmp"), ...(await copyLibraries(programs, folders)), ...entries, java];
}

function isProgram(entry: TarEntry & { readonly source: string }): boolean {
  if (!/\.so(\.|$)/.test(entry.path) && entry.mode !== 0o755) return false;
  const magic = readFileSync(entry.source).subarray(0, 4);
  return magic.equals(Buffer.from("\u007fELF", "latin1"));
}

/** Programs, modules and shared files of the newest server that is installed. */
function postgresFolders(): string[] {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root)
    ? readdirSync(root).filter((name) => existsSync(join(root, name, "bin", "initdb")))
    : [];
  const newest = versions.map(Number).sort((a, b) => b - a)[0];
  if (newest === undefined) throw missing("PostgreSQL's server", "postgresql");
  return [join(root, String(newest)), `/usr/share/postgresql/${newest}`];
}

/** The folder that Java itself names; the program in the PATH may be a link or a script. */
async function findJavaHome(): Promise<string> {
  const { stderr, stdout } = await tryRun(["java", "-XshowSettings:properties", "-version"]);
  const home = /^\s*java\.home = (\/.+)$/m.exec(stderr + stdout)?.[1];
  if (home === undefined) throw missing("Java", "openjdk-17-jre-headless");
  return realpathSync(home);
}

function findTool(name: string): string {
  const path = ["/usr/bin", "/bin"]
    .map((folder) => join(folder, name))
    .find((candidate) => existsSync(candidate));
  if (path === undefined)
    throw missing(`The program ${name}`, name.startsWith("redis") ? "redis-server" : "coreutils");
  return join(realpathSync(dirname(path)), name);
}

function missing(what: string, debianPackage: string): ClusterError {
  return new ClusterError(
    "tool-missing",
    `${what} is not installed: apt-get install ${debianPackage}, then run again.`,
  );
}
