/**
 * Servers of a local cluster: each in a temporary folder of its own, as an unprivileged user, on a unix socket or a
 * loopback port, and gone with this process, however that ends (see private-server.ts).
 */

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type PrivateServer,
  type ServerRecipe,
  type ServerWanted,
  startPrivateServer,
} from '../../src/storages/sql/private-server.ts'

/** Stands in a failure that somebody can mend by installing something. */
export function missing(what: string, packages: string): Error {
  return new Error(`${what} is missing; install it with: apt-get install -y ${packages}`)
}

/** The first of these files that is there. */
export function findFile(paths: readonly string[]): string | undefined {
  return paths.find((path) => existsSync(path))
}

/** Ports of loopback that nobody listens at, for now. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
          const server = createServer()
          server.once('error', reject)
          server.listen(0, '127.0.0.1', () => resolve(server))
        }),
    ),
  )
  const ports = servers.map((server) => (server.address() as { readonly port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

/** A server that can be killed, too. */
export class LocalServer {
  readonly url: string
  readonly folder: string
  readonly #around: string
  readonly #pidFile: string
  readonly #server: PrivateServer

  /** @param pidFile where the server writes its process id, below its folder */
  static async start(
    recipe: ServerRecipe,
    pidFile: string,
    probe: ServerWanted['probe'],
  ): Promise<LocalServer> {
    const around = mkdtempSync(join(tmpdir(), 'shootout-cluster-'))
    let folder = ''
    const noting: ServerRecipe = {
      ...recipe,
      prepare(given, identity) {
        folder = given
        return recipe.prepare(given, identity)
      },
    }
    try {
      const wanted = { folder: around, durability: 'os', probe, log() {} } as const
      return new LocalServer(await startPrivateServer(noting, wanted), { around, folder, pidFile })
    } catch (error) {
      rmSync(around, { recursive: true, force: true })
      throw error
    }
  }

  private constructor(
    server: PrivateServer,
    {
      around,
      folder,
      pidFile,
    }: { readonly around: string; readonly folder: string; readonly pidFile: string },
  ) {
    this.url = server.url
    this.folder = folder
    this.#around = around
    this.#pidFile = join(folder, pidFile)
    this.#server = server
  }

  /** As a crash of its machine would end it. Its folder goes too. */
  async kill(): Promise<void> {
    process.kill(Number.parseInt(readFileSync(this.#pidFile, 'utf8'), 10), 'SIGKILL')
    await this.stop()
  }

  async stop(): Promise<void> {
    await this.#server.stop()
    // Processes of a server that was killed may have written on while it was removed.
    for (const folder of [this.folder, this.#around]) rmSync(folder, { recursive: true, force: true })
  }
}
