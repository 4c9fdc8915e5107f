/** Listens for a server that is there already. */

import type { Address } from '../../../src/storages/zeo/address.ts'
import { type Listener, takeAddress } from '../../../src/storages/zeo/listener.ts'
import type { ZeoServer } from '../../../src/storages/zeo/server.ts'
import type { TlsFiles } from '../../../src/storages/zeo/tls.ts'

export async function listen(server: ZeoServer, address: Address, tls?: TlsFiles): Promise<Listener> {
  const hasToken = server.settings.token !== undefined
  return (await takeAddress(address, { hasToken, ...(tls && { tls }) })).serve(server)
}
