/** How often, how soon again, and how much at a time one peer is told something. */

/** How often a node names its heads to each peer that it can reach. */
export const HEARTBEAT_MS = 10_000
/** The first receipt goes at once; under load one stands for many, and each costs both sides a packet. */
export const RECEIPTS_APART_MS = 100
/** Questions of the driver; it asks again for what was not said. */
export const SAYING_MAX = 8
/** Up to so many documents are asked for without finding out which differ. */
export const ASK_ALL_MAX = 64
/** A peer that was heard of within this long is there. */
export const PRESENT_MS = 35_000
/** What a peer that is there has not receipted for this long, though it was sent, is sent again. */
export const PUSH_AGAIN_MS = 30_000
/** Longer than a receipt takes. */
export const DELIVERED_AGAIN_MS = 5_000
/** Documents whose blocks share one packet. */
export const PUSHES_MAX = 64
