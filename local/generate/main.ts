import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gatewayOpenApi } from "./openapi.ts";

const FILE = "region/gateway/openapi.json";
writeFileSync(join(import.meta.dirname, "../..", FILE), `${JSON.stringify(gatewayOpenApi(), null, 2)}\n`);
console.log(`wrote ${FILE}`);
