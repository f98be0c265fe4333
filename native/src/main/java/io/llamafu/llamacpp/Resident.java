package io.llamafu.llamacpp;

import io.llamafu.adapter.AdapterFile;

import java.util.concurrent.CompletableFuture;

/** One version of an adapter in memory, or on its way there. Its {@link Residents} own what changes of it. */
final class Resident {
    private final AdapterFile file;
    private final CompletableFuture<LlamaAdapter> adapter = new CompletableFuture<>();

    /** What it counts in the budget: the size of its file, then of its weights. */
    private long bytes;

    private int leases;
    private long lastLeased;
    private boolean retired;
    private boolean draining;

    Resident(AdapterFile file) {
        this.file = file;
        this.bytes = file.byteSize();
    }

    /** The version, under the name that asked for it first. */
    AdapterFile file() {
        return file;
    }

    String digest() {
        return file.digest();
    }

    /** Completed by the loader. */
    CompletableFuture<LlamaAdapter> adapter() {
        return adapter;
    }

    boolean isLoaded() {
        return adapter.isDone() && !adapter.isCompletedExceptionally();
    }

    boolean isIdle() {
        return leases == 0 && isLoaded();
    }

    long bytes() {
        return bytes;
    }

    int leases() {
        return leases;
    }

    long lastLeased() {
        return lastLeased;
    }

    /** A lease more; who asks for it wants it to stay. */
    void lease(long now) {
        leases++;
        lastLeased = now;
        retired = false;
    }

    void release() {
        leases--;
    }

    /** It goes when its last lease ends. */
    void retire() {
        retired = true;
    }

    boolean isRetired() {
        return retired;
    }

    /** No new lease until a request that waits for room has it. */
    void drain(boolean drains) {
        draining = drains;
    }

    boolean isDraining() {
        return draining;
    }

    /** Its weights are in memory; the future is completed when no lock is held. */
    void weigh(long weightBytes) {
        bytes = weightBytes;
    }
}
