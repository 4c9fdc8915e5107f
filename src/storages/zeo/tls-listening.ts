/**
 * Listening with TLS: who comes in, and certificates that are renewed while the server runs.
 *
 * Whoever renews them need not know of us, so their files are looked at every minute, and when somebody asks. What they
 * hold is used for every handshake from then on; connections that are there go on as they are. Files that do not fit
 * change nothing, and that is logged.
 */

import { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { createServer, type Server } from 'node:tls'
import { describeError } from '../../core/errors.ts'
import type { ZeoServer } from './server.ts'
import type { LogFacts, LogLevel } from './server-log.ts'
import type { Cancel } from './timers.ts'
import {
  clientCertificateError,
  handshakeProblem,
  readTlsFiles,
  type TlsContents,
  type TlsFiles,
} from './tls.ts'
import { SocketWire } from './wire.ts'

/** The shortest-lived certificates last for hours, and are renewed well before they end. */
const lookMs = 60_000

export class TlsListening {
  readonly #server: Server
  readonly #clients: ZeoServer
  readonly #files: TlsFiles
  #inUse: TlsContents
  /** What was wrong with the files when they were looked at last, and how many looks in a row have found that. */
  #problem = ''
  #problemLooks = 0
  #hasExpired = false
  #cancel: Cancel | undefined

  /** @param contents of the files, as `readServerFiles` has found them */
  constructor(clients: ZeoServer, files: TlsFiles, contents: TlsContents) {
    this.#clients = clients
    this.#files = files
    this.#inUse = contents
    this.#server = this.#create(files.clientCa !== undefined)
    this.#warnOfExpiry()
  }

  #create(wantsCertificate: boolean): Server {
    const options = {
      ...this.#inUse,
      handshakeTimeout: this.#clients.settings.limits.greetingMs,
      requestCert: wantsCertificate,
      // Who is not authorized hears why, and nothing else: `clientCertificateError`.
      rejectUnauthorized: false,
    }
    const server = createServer(options, (socket) => {
      const refusal = wantsCertificate ? clientCertificateError(socket) : undefined
      this.#clients.accept(new SocketWire(socket), { refusal })
    })
    server.on('tlsClientError', (error, socket) => {
      const { code, reason } = handshakeProblem(error)
      this.#clients.refused(`${socket.remoteAddress}:${socket.remotePort}`, code, reason)
      // After a time-out it is still open, and would be for as long as the peer likes.
      socket.destroy()
    })
    return server
  }

  /** Somebody has connected. This is how a TLS server that listens itself is told of it, too. */
  shakeHands(socket: Socket): void {
    this.#server.emit('connection', socket)
  }

  /** Looks at the files every minute from now on. */
  watch(): void {
    this.#cancel = this.#clients.settings.timers.after(lookMs, () => {
      this.#look(false)
      this.watch()
    })
  }

  unwatch(): void {
    this.#cancel?.()
  }

  /** Somebody asks: what the files hold is used at once, and what came of it is logged in any case. */
  renew(): void {
    this.#look(true)
  }

  #look(isAsked: boolean): void {
    let found: TlsContents
    try {
      found = readServerFiles(this.#files)
    } catch (error) {
      this.#isWrong(describeError(error), isAsked)
      return
    }
    this.#problemLooks = 0
    const isNew = !isSame(found, this.#inUse)
    if (isNew) {
      // Tickets of sessions end with the context that gave them: nobody resumes one that new files would not allow.
      this.#server.setSecureContext(found)
      this.#inUse = found
      this.#hasExpired = false
    }
    if (isNew || isAsked) {
      this.#log('info', { file: this.#files.certificate, renewed: isNew, validTo: this.#validTo })
    }
    this.#warnOfExpiry()
  }

  /** Files are replaced one after the other and need not fit in between: unasked, what is wrong is said if it lasts. */
  #isWrong(problem: string, isAsked: boolean): void {
    this.#problemLooks = problem === this.#problem ? this.#problemLooks + 1 : 1
    this.#problem = problem
    if (!isAsked && this.#problemLooks !== 2) return
    this.#log('error', {
      code: 'tls-files',
      reason: `${problem}. What was read before stays in use; mend the files, they are looked at every minute`,
    })
  }

  /** It is used all the same: the clock may be wrong, and the clients say what they think of it. */
  #warnOfExpiry(): void {
    const validTo = this.#validTo
    if (this.#hasExpired || Date.parse(validTo) > Date.now()) return
    this.#hasExpired = true
    this.#log('error', {
      code: 'server-certificate-expired',
      reason: `the certificate ${this.#files.certificate} has expired on ${validTo}: no client will accept it; renew it`,
    })
  }

  get #validTo(): string {
    return new X509Certificate(this.#inUse.cert!).validTo
  }

  #log(level: LogLevel, facts: LogFacts): void {
    this.#clients.settings.log({ level, event: 'certificate', facts })
  }
}

/** @throws UsageError `tls-files` */
export function readServerFiles({ certificate, key, clientCa }: TlsFiles): TlsContents {
  return readTlsFiles({ certificate, key, ...(clientCa === undefined ? {} : { ca: clientCa }) })
}

function isSame(one: TlsContents, other: TlsContents): boolean {
  return (['cert', 'key', 'ca'] as const).every((name) => {
    const [a, b] = [one[name], other[name]]
    return a === undefined || b === undefined ? a === b : a.equals(b)
  })
}
