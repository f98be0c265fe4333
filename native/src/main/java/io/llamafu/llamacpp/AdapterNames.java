package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterCatalog;
import io.llamafu.adapter.AdapterFile;
import io.llamafu.adapter.AdapterStack;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.Consumer;

/**
 * Finds out which versions the names of a stack stand for, beside the threads that ask. Whether a version still stands is
 * asked on one thread, a file whose content must be read goes to another, so that nobody waits behind a file that is not
 * his. However many ask for a name at a time, it is looked up once. Thread-safe.
 */
final class AdapterNames {
    private final AdapterCatalog catalog;
    private final Executor lookups;
    private final Executor readers;
    private final Runnable giveWay;
    private final Consumer<String> onGone;
    private final Map<String, CompletableFuture<AdapterFile>> pending = new ConcurrentHashMap<>();

    /**
     * @param lookups waits for attributes of files
     * @param readers waits for content of files
     * @param giveWay runs between parts of a content
     * @param onGone is told names that no file has any more
     */
    AdapterNames(
            AdapterCatalog catalog, Executor lookups, Executor readers, Runnable giveWay, Consumer<String> onGone) {
        this.catalog = catalog;
        this.lookups = lookups;
        this.readers = readers;
        this.giveWay = giveWay;
        this.onGone = onGone;
    }

    /** The versions of a stack in its order, if all its names were looked up a moment ago; never waits. */
    Optional<List<AdapterFile>> known(AdapterStack stack) {
        List<AdapterFile> files = stack.entries().stream()
                .flatMap(entry -> catalog.known(entry.name()).stream())
                .toList();
        return files.size() == stack.entries().size() ? Optional.of(files) : Optional.empty();
    }

    /** The versions of a stack in its order. Fails with a coded error. */
    CompletableFuture<List<AdapterFile>> resolve(AdapterStack stack) {
        List<CompletableFuture<AdapterFile>> files =
                stack.entries().stream().map(entry -> resolve(entry.name())).toList();
        return CompletableFuture.allOf(files.toArray(CompletableFuture<?>[]::new))
                .thenApply(done -> files.stream().map(CompletableFuture::join).toList());
    }

    private CompletableFuture<AdapterFile> resolve(String name) {
        Optional<AdapterFile> known = catalog.known(name);
        if (known.isPresent()) {
            return CompletableFuture.completedFuture(known.get());
        }
        CompletableFuture<AdapterFile> file = new CompletableFuture<>();
        CompletableFuture<AdapterFile> earlier = pending.putIfAbsent(name, file);
        if (earlier != null) {
            return earlier;
        }
        execute(lookups, name, file, () -> lookUp(name, file));
        return file;
    }

    private void lookUp(String name, CompletableFuture<AdapterFile> file) {
        Optional<AdapterFile> standing = catalog.standing(name);
        if (standing.isPresent()) {
            finish(name, file, standing.get());
        } else {
            execute(readers, name, file, () -> finish(name, file, catalog.resolve(name, giveWay)));
        }
    }

    private void execute(Executor executor, String name, CompletableFuture<AdapterFile> file, Runnable step) {
        try {
            executor.execute(() -> {
                try {
                    step.run();
                } catch (RuntimeException | Error e) {
                    fail(name, file, e);
                }
            });
        } catch (RejectedExecutionException e) {
            fail(
                    name,
                    file,
                    new LlamafuException(ErrorCode.ENGINE_CLOSED, "The engine was closed; open a new one.", e));
        }
    }

    /** Out of the books first: who asks again because of the answer must not get this one. */
    private void finish(String name, CompletableFuture<AdapterFile> file, AdapterFile version) {
        pending.remove(name, file);
        file.complete(version);
    }

    private void fail(String name, CompletableFuture<AdapterFile> file, Throwable failure) {
        pending.remove(name, file);
        if (failure instanceof LlamafuException coded && coded.code() == ErrorCode.ADAPTER_NOT_FOUND) {
            onGone.accept(name);
        }
        file.completeExceptionally(failure);
    }
}
