/**
 * Loaded into a process before the program (`bun --preload`): an end of a token is answered without waiting for the others
 * to know it. So a test shows that it would notice.
 */
import { StoredSubscribers } from '../../services/kit/feed/stored-subscribers.ts'

StoredSubscribers.prototype.waitForAcks = async () => undefined
