package io.llamafu.flink.label;

import io.llamafu.DaemonThreads;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterCatalog;
import io.llamafu.adapter.AdapterFile;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.Sha256;
import io.llamafu.engine.AppliedAdapter;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.artifact.JobFiles;

import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.Collectors;

/** Which model and adapters would answer now, known without opening an engine. For one thread. */
final class Identity implements AutoCloseable {
    /** Within this time a name is looked up once. */
    private static final Duration REFRESH = Duration.ofSeconds(1);

    /** In place of a digest: there is no such adapter, or no sound one. */
    private static final String NONE = "none";

    private final JobFiles files;
    private final String modelDigest;
    private final ExecutorService threads =
            Executors.newFixedThreadPool(2, DaemonThreads.named("llamafu-label-adapters"));
    private final AdapterCatalog catalog;

    /**
     * Reads the whole model file, and fetches it if it is remote.
     *
     * @param temporaryFolder for fetched files
     * @throws LlamafuException if the model or the adapters cannot be read
     */
    Identity(LlamafuOptions options, Path temporaryFolder) {
        files = JobFiles.acquire(options.artifacts(temporaryFolder));
        try {
            modelDigest = files.modelDigest().orElseGet(() -> digest(files.model()));
            catalog = new AdapterCatalog(
                    files.adapters().open(),
                    REFRESH,
                    new AdapterCatalog.Threads(threads, threads, () -> {}),
                    name -> {});
        } catch (RuntimeException | Error e) {
            threads.shutdownNow();
            files.close();
            throw e;
        }
    }

    private static String digest(Path model) {
        try {
            return Sha256.of(model);
        } catch (NoSuchFileException e) {
            throw new LlamafuException(
                    ErrorCode.MODEL_NOT_FOUND, "There is no model '%s'; correct the option model.".formatted(model), e);
        } catch (IOException e) {
            throw new LlamafuException(
                    ErrorCode.MODEL_NOT_FOUND, "The model '%s' cannot be read: %s".formatted(model, e), e);
        }
    }

    String modelDigest() {
        return modelDigest;
    }

    /** A stack as {@link Answer#adapters}. */
    String describe(AdapterStack stack) {
        return stack.entries().stream().map(this::describe).collect(Collectors.joining("+"));
    }

    private String describe(AdapterStack.Entry entry) {
        try {
            AdapterFile file = catalog.resolve(entry.name()).join();
            return describe(file.name(), file.scaleOf(entry), file.digest());
        } catch (CompletionException e) {
            LlamafuException failure = LlamafuException.of(e, ErrorCode.ADAPTER_NOT_FOUND, "Looking up an adapter");
            if (failure.code() == ErrorCode.ARTIFACT_UNAVAILABLE || failure.code() == ErrorCode.ENGINE_CLOSED) {
                throw failure;
            }
            return "%s:%s@%s"
                    .formatted(entry.name(), entry.scale().map(String::valueOf).orElse(NONE), NONE);
        }
    }

    /** The adapters that have answered, as {@link Answer#adapters}. */
    static String describe(List<AppliedAdapter> applied) {
        return applied.stream()
                .map(adapter -> describe(adapter.name(), adapter.scale(), adapter.digest()))
                .collect(Collectors.joining("+"));
    }

    private static String describe(String name, float scale, String digest) {
        return "%s:%s@%s".formatted(name, scale, digest);
    }

    @Override
    public void close() {
        catalog.close();
        threads.shutdownNow();
        files.close();
    }
}
