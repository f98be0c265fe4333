package io.llamafu.engine.support;

import io.llamafu.DaemonThreads;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.Sha256;
import io.llamafu.engine.EngineOptions;

import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Computes the SHA-256 of a model file beside the load of the model, which reads the same file: so it costs a core for that
 * time, and hardly any reading. An engine is opened only when it is known, so that every answer can name it.
 */
public final class ModelDigest implements AutoCloseable {
    private static final Duration MOST_TIME = Duration.ofHours(1);

    private final Path model;
    private final CompletableFuture<String> digest;

    private ModelDigest(Path model, CompletableFuture<String> digest) {
        this.model = model;
        this.digest = digest;
    }

    /** Starts to read the file, unless the options have the digest. */
    public static ModelDigest start(EngineOptions options) {
        Path model = options.model();
        CompletableFuture<String> digest = new CompletableFuture<>();
        options.modelDigest().ifPresentOrElse(digest::complete, () -> {
            Thread unused = DaemonThreads.start("llamafu-model-digest", () -> compute(model, digest));
        });
        return new ModelDigest(model, digest);
    }

    private static void compute(Path model, CompletableFuture<String> digest) {
        try {
            digest.complete(Sha256.of(model, () -> {
                if (digest.isDone()) {
                    throw new CancellationException("It is not needed any more.");
                }
            }));
        } catch (Throwable e) {
            digest.completeExceptionally(e);
        }
    }

    /**
     * Waits for the digest, an hour at most.
     *
     * @throws LlamafuException with MODEL_LOAD_FAILED if the file cannot be read, or ENGINE_CLOSED if the thread is
     *     interrupted
     */
    public String await() {
        try {
            return digest.get(MOST_TIME.toSeconds(), TimeUnit.SECONDS);
        } catch (ExecutionException | TimeoutException e) {
            throw new LlamafuException(
                    ErrorCode.MODEL_LOAD_FAILED,
                    "The checksum of the model '%s' could not be computed: %s"
                            .formatted(model, e.getCause() == null ? "it takes too long" : e.getCause()),
                    e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new LlamafuException(ErrorCode.ENGINE_CLOSED, "Loading %s was cancelled.".formatted(model), e);
        }
    }

    /** Stops reading. */
    @Override
    public void close() {
        digest.cancel(false);
    }
}
