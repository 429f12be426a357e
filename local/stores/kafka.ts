import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tryRun } from "../cluster/command.ts";
import { ClusterError } from "../cluster/errors.ts";
import type { ProcessSpec } from "../cluster/process.ts";
import type { KafkaProgram } from "./kafkajars.ts";

export interface KafkaOptions {
  /** Folder of this broker alone; made when it is missing. */
  readonly dir: string;
  readonly port: number;
  readonly controllerPort: number;
  readonly program: KafkaProgram;
}

/** Formats the log folder when that was not done yet and returns how to start the broker, its own controller. */
export async function prepareKafka(options: KafkaOptions): Promise<ProcessSpec> {
  const { dir, program } = options;
  const log = join(dir, "log");
  mkdirSync(log, { recursive: true, mode: 0o700 });
  const config = join(dir, "server.properties");
  writeFileSync(config, `${properties(options, log).join("\n")}\n`);
  if (!existsSync(join(log, "meta.properties"))) {
    const clusterId = clusterIdOf(randomBytes(16));
    const format = ["kafka.tools.StorageTool", "format", "-t", clusterId, "-c", config];
    const result = await tryRun([...java(program, ["-XX:TieredStopAtLevel=1"]), ...format]);
    if (result.exitCode !== 0) {
      const words = `${result.stderr}\n${result.stdout}`
        .split("\n")
        .find((line) => /exception|error/i.test(line));
      throw new ClusterError(
        "command-failed",
        `Kafka could not prepare ${log}: ${words?.trim() ?? "no reason given"}`,
      );
    }
  }
  const flags = ["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"];
  return {
    name: "kafka",
    argv: [...java(program, flags), "kafka.Kafka", config],
    logPath: join(dir, "..", "kafka.log"),
  };
}

/** A cluster id of 16 bytes. The tool takes one that begins with a dash, as every 64th does, for an option. */
export function clusterIdOf(bytes: Buffer): string {
  return bytes.toString("base64url").replace(/^-/, "A");
}

function java(program: KafkaProgram, flags: readonly string[]): string[] {
  const logging = `-Dlog4j2.configurationFile=${join(program.dir, "log4j2.properties")}`;
  return ["java", ...flags, "-XX:-UsePerfData", logging, "-cp", join(program.dir, "*")];
}

function properties({ port, controllerPort }: KafkaOptions, log: string): string[] {
  return [
    "process.roles=broker,controller",
    "node.id=1",
    `controller.quorum.voters=1@127.0.0.1:${controllerPort}`,
    `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    "controller.listener.names=CONTROLLER",
    "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    `log.dirs=${log}`,
    // With one broker a factor of 3 makes every consumer wait for ever, without a word.
    "offsets.topic.replication.factor=1",
    "transaction.state.log.replication.factor=1",
    "transaction.state.log.min.isr=1",
    "share.coordinator.state.topic.replication.factor=1",
    "share.coordinator.state.topic.min.isr=1",
    "offsets.topic.num.partitions=4",
    "transaction.state.log.num.partitions=4",
    "num.partitions=4",
    // A topic with a misspelt name must fail and not come to life.
    "auto.create.topics.enable=false",
    "group.initial.rebalance.delay.ms=0",
    "group.min.session.timeout.ms=1000",
    "log.segment.bytes=16777216",
    "log.index.size.max.bytes=1048576",
  ];
}
