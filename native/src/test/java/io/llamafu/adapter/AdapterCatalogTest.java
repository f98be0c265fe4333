package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterSource.Pinned;
import io.llamafu.adapter.AdapterSource.Version;
import io.llamafu.testing.Await;
import io.llamafu.testing.Catalogs;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicIntegerArray;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** What the catalog does itself, whatever the source. */
class AdapterCatalogTest {
    private static final Duration SECOND = Duration.ofSeconds(1);

    @TempDir
    Path folder;

    private final List<String> gone = new ArrayList<>();
    private long nanos;

    @BeforeEach
    void publish() throws IOException {
        publish("medical", "medical");
        publish("legal", "legal");
    }

    private void publish(String name, String content) throws IOException {
        TinyModel.publish(folder, name, content);
    }

    private AdapterCatalog catalog() {
        return catalog(LocalAdapters.of(folder));
    }

    private AdapterCatalog catalog(AdapterSource.Session source) {
        return new AdapterCatalog(source, SECOND, Catalogs.CALLER, gone::add, () -> nanos);
    }

    private void pass(Duration time) {
        nanos += time.toNanos();
    }

    @Test
    void versionIsCachedForTheIntervalAndAMissIsNot() throws IOException {
        AdapterCatalog catalog = catalog();
        assertThat(catalog.cached("medical")).isEmpty();
        AdapterFile old = Catalogs.resolve(catalog, "medical");
        assertThatThrownBy(() -> Catalogs.resolve(catalog, "new")).hasMessageContaining("no adapter 'new'");
        publish("medical", "finance");
        publish("new", "finance");

        assertThat(Catalogs.resolve(catalog, "medical")).isSameAs(old);
        assertThat(Catalogs.resolve(catalog, "new").byteSize()).isEqualTo(75_680);
        pass(SECOND);
        assertThat(catalog.cached("medical")).isEmpty();
        assertThat(catalog.lastResolved("medical")).contains(old);
        AdapterFile current = Catalogs.resolve(catalog, "medical");
        assertThat(current.digest()).isNotEqualTo(old.digest());
        assertThat(catalog.cached(AdapterStack.parse("medical+new"))).isEmpty();
        Catalogs.resolve(catalog, "new");
        assertThat(catalog.cached(AdapterStack.parse("medical")).orElseThrow()).containsExactly(current);
        current.requireUnchanged();
        assertThatThrownBy(old::requireUnchanged).hasMessageContaining("published again");
    }

    @Test
    void unknownNameListsSomeOfMany() throws IOException {
        for (int index = 0; index < 20; index++) {
            publish("more-" + index, "legal");
        }
        assertThatThrownBy(() -> Catalogs.resolve(catalog(), "sports"))
                .hasMessageContaining("There is no adapter 'sports' in '%s'; it has legal, medical".formatted(folder))
                .hasMessageEndingWith("more-15 and 12 more.");
        assertThat(gone).containsExactly("sports");
    }

    @Test
    void versionThatTurnedOutToBeChangedIsLookedUpAnew() throws IOException {
        AdapterCatalog catalog = catalog();
        AdapterFile version = Catalogs.resolve(catalog, "medical");
        publish("medical", "finance");

        catalog.recheck(version);

        assertThat(Catalogs.resolve(catalog, "medical").digest()).isNotEqualTo(version.digest());
    }

    @Test
    void manyThreadsSeeOneVersionAtATimeWhileItIsRepublished() throws Exception {
        AdapterCatalog catalog = Catalogs.of(LocalAdapters.of(folder));
        Set<String> known = Set.of(
                Catalogs.resolve(catalog, "medical").digest(),
                Catalogs.resolve(catalog, "legal").digest());
        AtomicBoolean published = new AtomicBoolean();
        ExecutorService threads = Executors.newFixedThreadPool(4);
        try {
            List<Future<Boolean>> readers = new ArrayList<>();
            AtomicIntegerArray reads = new AtomicIntegerArray(4);
            for (int thread = 0; thread < reads.length(); thread++) {
                int reader = thread;
                readers.add(threads.submit(() -> {
                    boolean allKnown = true;
                    while (!published.get()) {
                        allKnown &= known.contains(
                                Catalogs.resolve(catalog, "medical").digest());
                        reads.incrementAndGet(reader);
                    }
                    return allKnown;
                }));
            }
            for (int count = 0; count < 100; count++) {
                publish("medical", count % 2 == 0 ? "legal" : "medical");
                for (int reader = 0; reader < reads.length(); reader++) {
                    // or the file could change during each of its attempts, and it would give up
                    awaitRead(readers.get(reader), reads, reader);
                }
            }
            published.set(true);
            for (Future<Boolean> reader : readers) {
                assertThat(reader.get()).isTrue();
            }
        } finally {
            published.set(true);
            threads.shutdownNow();
        }
    }

    private static void awaitRead(Future<Boolean> reader, AtomicIntegerArray reads, int index) throws Exception {
        int before = reads.get(index);
        Await.until("one more read", () -> reader.isDone() || reads.get(index) > before);
    }

    /** A source whose answers come when a test gives them. */
    private final class Slow implements AdapterSource.Session {
        private final LocalAdapters files = LocalAdapters.of(folder);
        private final List<CompletableFuture<Optional<Version>>> asked = new ArrayList<>();
        private final List<CompletableFuture<Pinned>> pins = new ArrayList<>();

        @Override
        public List<String> names() {
            return files.names();
        }

        @Override
        public CompletableFuture<Optional<Version>> find(String name) {
            asked.add(new CompletableFuture<>());
            return asked.get(asked.size() - 1);
        }

        @Override
        public CompletableFuture<Pinned> pin(Version version) {
            pins.add(new CompletableFuture<>());
            return pins.get(pins.size() - 1);
        }

        @Override
        public void close() {
            asked.forEach(future -> future.completeExceptionally(LlamafuException.engineClosed()));
        }

        private Version version(String name) {
            return files.find(name).join().orElseThrow();
        }
    }

    @Test
    void oneLookUpServesAllWhoAskAndHoldsUpNoOther() {
        Slow slow = new Slow();
        AdapterCatalog catalog = catalog(slow);
        CompletableFuture<AdapterFile> first = catalog.resolve("medical");
        CompletableFuture<AdapterFile> second = catalog.resolve("medical");
        CompletableFuture<AdapterFile> other = catalog.resolve("legal");
        assertThat(slow.asked).hasSize(2);

        slow.asked.get(1).completeExceptionally(new LlamafuException(ErrorCode.ADAPTER_INVALID, "legal is no file."));
        assertThat(other).isCompletedExceptionally();
        assertThat(first).isNotDone();
        slow.asked.get(0).complete(Optional.of(slow.version("medical")));
        slow.pins.get(0).complete(slow.files.pin(slow.version("medical")).join());
        slow.asked.get(2).complete(Optional.of(slow.version("medical")));
        assertThat(first.join()).isSameAs(second.join());
    }

    @Test
    void failedFetchIsNotTriedAgainForASecond() {
        Slow slow = new Slow();
        AdapterCatalog catalog = catalog(slow);
        CompletableFuture<AdapterFile> failed = catalog.resolve("medical");
        slow.asked.get(0).complete(Optional.of(slow.version("medical")));
        slow.pins
                .get(0)
                .completeExceptionally(new LlamafuException(ErrorCode.ARTIFACT_UNAVAILABLE, "The store is down."));
        assertThat(failed).isCompletedExceptionally();

        assertThatThrownBy(() -> Catalogs.resolve(catalog, "medical"))
                .hasMessage("ARTIFACT_UNAVAILABLE: The store is down.");
        assertThat(slow.asked).hasSize(1);
        pass(SECOND);
        assertThat(catalog.resolve("medical")).isNotDone();
        assertThat(slow.asked).hasSize(2);
    }

    @Test
    void knownDigestIsNotComputedAgainAndItsFileIsGivenUp() {
        Slow slow = new Slow();
        AdapterCatalog catalog = catalog(slow);
        List<String> released = new ArrayList<>();
        CompletableFuture<AdapterFile> asked = catalog.resolve("medical");
        Version version = slow.version("medical");
        slow.asked.get(0).complete(Optional.of(version));
        slow.pins
                .get(0)
                .complete(new Pinned(
                        version,
                        version.file().orElseThrow(),
                        Optional.empty(),
                        Optional.of("digest of the fetch"),
                        "",
                        () -> released.add("medical")));
        slow.asked.get(1).complete(Optional.of(version));

        assertThat(asked.join().digest()).isEqualTo("digest of the fetch");
        assertThat(released).isNotEmpty();
    }

    @Test
    void whoWaitsWhenItIsClosedGetsAnError() {
        AdapterCatalog catalog = catalog(new Slow());
        CompletableFuture<AdapterFile> waiting = catalog.resolve("medical");

        catalog.close();

        assertThatThrownBy(waiting::join).cause().isInstanceOfSatisfying(LlamafuException.class, e -> assertThat(
                        e.code())
                .isEqualTo(ErrorCode.ENGINE_CLOSED));
    }

    @Test
    void fileThatVanishesWhileItIsReadIsNotFound() throws IOException {
        Slow slow = new Slow();
        AdapterCatalog catalog = catalog(slow);
        CompletableFuture<AdapterFile> asked = catalog.resolve("medical");
        Pinned pinned = slow.files.pin(slow.version("medical")).join();
        slow.asked.get(0).complete(Optional.of(pinned.version()));
        Files.delete(folder.resolve("medical.gguf"));
        slow.pins.get(0).complete(pinned);
        slow.asked.get(1).complete(Optional.empty());

        assertThatThrownBy(asked::join).cause().hasMessageContaining("There is no adapter 'medical'");
    }
}
