/** What a start is given, beside what the home says. */
export interface StartOptions {
  readonly home: string
  readonly name?: string
  /** The founding agent's name; the node's own when absent. */
  readonly agent?: string
  readonly relay?: string
  /** It takes the place of all that the log names. */
  readonly onlyRelay?: boolean
  readonly claim?: string
  readonly logLevel?: string
  /** Of the key files, in a home whose keys have one. */
  readonly passphrase?: string
}
