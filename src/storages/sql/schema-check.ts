/** Whether what is found under the name of a store is a store that this program can open, the same in every database. */

import { ShootoutError } from '../../core/errors.ts'

/** Identifiers cannot be bound; these need no quotes. @param what "schema" @throws ShootoutError `bad-schema-name` */
export function checkIdentifier(what: string, name: string): void {
  if (/^[a-z_][a-z0-9_]{0,62}$/.test(name)) return
  throw new ShootoutError(
    'bad-schema-name',
    `"${name}" cannot be the ${what} of a store: lower-case letters, digits and underscores, at most 63`,
  )
}

export interface StoreVersion {
  readonly version: unknown
  /** Every revision is kept. */
  readonly history: boolean
}

/** @throws ShootoutError `schema-version`, `schema-history` */
export function checkStoreVersion(title: string, found: StoreVersion, wanted: StoreVersion): void {
  if (found.version !== wanted.version) {
    throw new ShootoutError(
      'schema-version',
      `${title} has schema version ${found.version}, this program knows version ${wanted.version}; copy the store with the program that made it`,
      { details: { version: found.version } },
    )
  }
  if (found.history !== wanted.history) {
    throw new ShootoutError(
      'schema-history',
      `${title} was made with history=${found.history}; open it with the same, or copy it into a new store`,
      { details: { history: found.history } },
    )
  }
}

/** @throws ShootoutError `no-store` */
export function noStoreError(title: string): ShootoutError {
  return new ShootoutError('no-store', `${title}: there is no store; open it for writing to make one`)
}
