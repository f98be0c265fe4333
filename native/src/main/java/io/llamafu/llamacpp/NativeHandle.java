package io.llamafu.llamacpp;

import java.util.concurrent.atomic.AtomicInteger;

/**
 * Owns one native object. {@link #acquire} and {@link #release} count its users, and {@link #close} throws while there are
 * any.
 */
abstract class NativeHandle implements AutoCloseable {
    private static final int CLOSED = -1;

    private final long address;
    private final AtomicInteger users = new AtomicInteger();

    NativeHandle(long address) {
        this.address = address;
    }

    /** The address, for calls between {@link #acquire} and {@link #release}. */
    final long acquire() {
        if (users.getAndUpdate(count -> count == CLOSED ? CLOSED : count + 1) == CLOSED) {
            throw new IllegalStateException("%s was closed.".formatted(this));
        }
        return address;
    }

    /** Throws if there are no users: the object could otherwise be freed while another user still needs it. */
    final void release() {
        if (users.getAndUpdate(count -> count > 0 ? count - 1 : count) <= 0) {
            throw new IllegalStateException("%s was released more often than it was acquired.".formatted(this));
        }
    }

    /** Idempotent. */
    @Override
    public final void close() {
        int found = users.compareAndExchange(0, CLOSED);
        if (found == 0) {
            free(address);
        } else if (found != CLOSED) {
            throw new IllegalStateException("%s cannot be closed: it has %d users.".formatted(this, found));
        }
    }

    abstract void free(long nativeAddress);

    @Override
    public String toString() {
        return getClass().getSimpleName() + "@" + Long.toHexString(address);
    }
}
