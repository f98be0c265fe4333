package io.llamafu.llamacpp;

import io.llamafu.adapter.AdapterFile;

import java.util.concurrent.CompletableFuture;

/** One version of an adapter in memory or being loaded. {@link AdapterMemory} guards its fields. */
final class ResidentAdapter {
    private final AdapterFile file;
    private final CompletableFuture<LlamaAdapter> adapter = new CompletableFuture<>();

    /** Counted against the budget: the size of the file, then of the weights. */
    private long bytes;

    private int leases;
    private long lastLeased;
    private boolean retired;
    private boolean draining;

    ResidentAdapter(AdapterFile file) {
        this.file = file;
        this.bytes = file.byteSize();
    }

    /** The version, under the name that it was first requested by. */
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

    /** Adds a lease. A version that is used again is no longer retired. */
    void lease(long now) {
        leases++;
        lastLeased = now;
        retired = false;
    }

    void release() {
        leases--;
    }

    /** Frees it after its last lease. */
    void retire() {
        retired = true;
    }

    boolean isRetired() {
        return retired;
    }

    /** While draining it takes no new leases, so that a waiting request gets its memory. */
    void drain(boolean drains) {
        draining = drains;
    }

    boolean isDraining() {
        return draining;
    }

    /** Sets the size of the loaded weights. */
    void weigh(long weightBytes) {
        bytes = weightBytes;
    }
}
