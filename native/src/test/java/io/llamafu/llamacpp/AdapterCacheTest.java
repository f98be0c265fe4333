package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterCompatibility;
import io.llamafu.adapter.AdapterFile;
import io.llamafu.adapter.AdapterInfo;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.LocalAdapters;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.testing.Await;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Real adapters of the tiny model, all of one size; loads can be blocked by name. */
class AdapterCacheTest {
    private static final long ADAPTER_BYTES = 75_680;

    @TempDir
    Path folder;

    private final Map<String, CountDownLatch> gates = new ConcurrentHashMap<>();
    private final AtomicInteger attempts = new AtomicInteger();
    private final AtomicInteger running = new AtomicInteger();
    private final AtomicInteger mostRunning = new AtomicInteger();
    private final List<AdapterCache.Lease> leases = new ArrayList<>();
    private LlamaModel model;
    private GgufFile base;
    private AdapterCache cache;

    @BeforeEach
    void load() throws IOException {
        model = LlamaModel.load(TinyModel.options().build());
        base = GgufReader.read(TinyModel.model(), GgufKind.MODEL);
        for (String name : List.of("medical", "legal", "finance", "formal")) {
            publish(name, name);
        }
        cache = cache(0);
    }

    @AfterEach
    void free() throws Exception {
        gates.values().forEach(CountDownLatch::countDown);
        leases.forEach(AdapterCache.Lease::release);
        close();
        model.close();
    }

    private void close() throws Exception {
        cache.stop();
        cache.close();
    }

    /** With room for a number of adapters; 0 is no limit. Names are looked up for every lease. */
    private AdapterCache cache(int adapters) {
        return new AdapterCache(
                LocalAdapters.of(folder),
                Duration.ZERO,
                this::load,
                (adapter, forgotten) -> forgotten.run(),
                () -> {},
                adapters * ADAPTER_BYTES);
    }

    /** Any thread may unload, and may be slow. */
    @Test
    void cacheThatStopsWaitsForAnUnloadThatHasBegun() throws Exception {
        CountDownLatch begun = new CountDownLatch(1);
        CountDownLatch goOn = new CountDownLatch(1);
        cache.stop();
        cache = new AdapterCache(
                LocalAdapters.of(folder),
                Duration.ofSeconds(1),
                this::load,
                (adapter, forgotten) -> {
                    begun.countDown();
                    try {
                        goOn.await();
                    } catch (InterruptedException e) {
                        throw new IllegalStateException(e);
                    }
                    forgotten.run();
                },
                () -> {},
                0);
        lease("medical").release();
        CompletableFuture<Boolean> unloaded = CompletableFuture.supplyAsync(() -> cache.unload("medical"));
        begun.await();
        Thread stopping = new Thread(cache::stop, "stopping");
        stopping.start();
        Await.untilItWaits(stopping);

        assertThat(stopping.isAlive()).isTrue();
        goOn.countDown();
        stopping.join();
        assertThat(unloaded.get(60, TimeUnit.SECONDS)).isTrue();
        cache.close();
        model.close(); // throws while an adapter of it is in memory
    }

    private void limit(int adapters) throws Exception {
        close();
        cache = cache(adapters);
    }

    private LlamaAdapter load(AdapterFile file) {
        attempts.incrementAndGet();
        mostRunning.accumulateAndGet(running.incrementAndGet(), Math::max);
        try {
            CountDownLatch gate = gates.get(file.name());
            if (gate != null) {
                gate.await();
            }
            GgufFile gguf = GgufReader.read(file.path(), GgufKind.ADAPTER);
            AdapterCompatibility.check(base, gguf).requireCompatible(file.name());
            return LlamaAdapter.load(model, file.path(), AdapterInfo.of(gguf), true, () -> {});
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        } finally {
            running.decrementAndGet();
        }
    }

    private void publish(String name, String content) throws IOException {
        TinyModel.publish(folder, name, content);
    }

    private CountDownLatch hold(String name) {
        CountDownLatch gate = new CountDownLatch(1);
        gates.put(name, gate);
        return gate;
    }

    private CompletableFuture<AdapterCache.Lease> ask(String stack) {
        return cache.lease(AdapterStack.parse(stack), AdapterCache.Turn.NONE);
    }

    private AdapterCache.Lease lease(String stack) throws Exception {
        return get(ask(stack));
    }

    private AdapterCache.Lease get(CompletableFuture<AdapterCache.Lease> asked) throws Exception {
        AdapterCache.Lease lease = asked.get(60, TimeUnit.SECONDS);
        leases.add(lease);
        return lease;
    }

    private static void assertFails(CompletableFuture<?> future, ErrorCode code, String message) {
        assertThatThrownBy(() -> future.get(60, TimeUnit.SECONDS))
                .isInstanceOf(ExecutionException.class)
                .cause()
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(code))
                .hasMessageContaining(message);
    }

    /** Waits until the names of all requests so far have been looked up; a newly requested file may still be read. */
    private void settle() throws Exception {
        for (int i = 0; i < 2; i++) {
            assertFails(ask("nobody"), ErrorCode.ADAPTER_NOT_FOUND, "nobody");
        }
    }

    @Test
    void oneLoadServesManyWhoWait() throws Exception {
        CountDownLatch gate = hold("medical");
        List<CompletableFuture<AdapterCache.Lease>> asked = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            asked.add(ask("medical"));
        }
        gate.countDown();

        for (CompletableFuture<AdapterCache.Lease> one : asked) {
            get(one);
        }
        assertThat(attempts).hasValue(1);
        assertThat(cache.loadCount()).isEqualTo(1);
    }

    @Test
    void adapterInMemoryWaitsBehindNoLoad() throws Exception {
        lease("legal").release();
        CountDownLatch first = hold("medical");
        CountDownLatch second = hold("finance");
        CompletableFuture<AdapterCache.Lease> medical = ask("medical");
        CompletableFuture<AdapterCache.Lease> finance = ask("finance");
        // both loaders are blocked
        awaitAttempts(3);
        CompletableFuture<AdapterCache.Lease> formal = ask("formal");

        for (int i = 0; i < 10; i++) {
            lease("legal").release();
        }
        assertThat(List.of(medical, finance, formal)).noneMatch(CompletableFuture::isDone);
        first.countDown();
        second.countDown();
        get(medical);
        get(finance);
        get(formal);
        assertThat(mostRunning).hasValueLessThanOrEqualTo(2);
    }

    @Test
    void whoFindsNoRoomWaitsUntilALeaseEnds() throws Exception {
        limit(1);
        AdapterCache.Lease medical = lease("medical");
        CompletableFuture<AdapterCache.Lease> legal = ask("legal");
        settle();
        assertThat(legal).isNotDone();
        lease("medical").release();

        medical.release();

        assertThat(get(legal).resolved().get(0).name()).isEqualTo("legal");
        assertThat(cache.residentCount()).isEqualTo(1);
        assertThat(cache.residentBytes()).isLessThanOrEqualTo(ADAPTER_BYTES);
    }

    @Test
    void stacksTakeTheirAdaptersAllOrNoneSoThatNobodyWaitsForEachOther() throws Exception {
        limit(2);
        AdapterCache.Lease medical = lease("medical");
        AdapterCache.Lease legal = lease("legal");
        CompletableFuture<AdapterCache.Lease> first = ask("medical+finance");
        CompletableFuture<AdapterCache.Lease> second = ask("legal+formal");
        settle();
        assertThat(List.of(first, second)).noneMatch(CompletableFuture::isDone);

        medical.release();
        legal.release();

        // the request whose names were looked up first is first in line
        CompletableFuture.allOf(
                        first.thenAccept(AdapterCache.Lease::release), second.thenAccept(AdapterCache.Lease::release))
                .get(60, TimeUnit.SECONDS);
        assertThat(cache.residentBytes()).isLessThanOrEqualTo(2 * ADAPTER_BYTES);
    }

    @Test
    void stackThatAloneExceedsTheBudgetIsRefusedAtOnce() throws Exception {
        limit(2);
        AdapterCache.Lease held = lease("medical");

        assertFails(ask("medical+legal+formal"), ErrorCode.OUT_OF_MEMORY, "227040 bytes are needed");
        assertThat(held.resolved()).hasSize(1);
    }

    @Test
    void preloadTakesIdleRoomAndWaitsForNoLease() throws Exception {
        limit(1);
        AdapterCache.Lease held = lease("medical");
        assertFails(cache.preload(AdapterStack.parse("legal")), ErrorCode.OUT_OF_MEMORY, "at the moment");

        held.release();

        assertThat(cache.preload(AdapterStack.parse("legal:0.5"))
                        .get(60, TimeUnit.SECONDS)
                        .get(0)
                        .scale())
                .isEqualTo(0.5f);
        assertThat(cache.residentCount()).isEqualTo(1);
    }

    @Test
    void whoIsCancelledGivesUpHisPlace() throws Exception {
        limit(1);
        AdapterCache.Lease held = lease("medical");
        CompletableFuture<AdapterCache.Lease> first = ask("legal");
        settle();
        CompletableFuture<AdapterCache.Lease> second = ask("finance");
        settle();

        assertThat(first.cancel(false)).isTrue();
        held.release();

        assertThat(get(second).resolved().get(0).name()).isEqualTo("finance");
        assertThat(cache.loadCount()).isEqualTo(2);
    }

    @Test
    void adapterThatIsAlwaysInUseIsDrainedForTheFirstWhoWaits() throws Exception {
        limit(1);
        Deque<AdapterCache.Lease> inUse = new ArrayDeque<>(List.of(lease("medical")));
        CompletableFuture<AdapterCache.Lease> legal = ask("legal");
        CompletableFuture<AdapterCache.Lease> late = ask("medical");
        settle();
        int passes = 0;
        while (late.isDone()) {
            inUse.add(get(late));
            inUse.remove().release();
            assertThat(++passes).isLessThan(100 * AdapterMemory.PATIENCE);
            late = ask("medical");
            settle();
        }
        assertThat(passes).isGreaterThanOrEqualTo(AdapterMemory.PATIENCE);
        assertThat(legal).isNotDone();

        inUse.remove().release();

        get(legal).release();
        get(late).release();
    }

    @Test
    void badFileIsNotTriedAgainForAWhileButAnotherVersionIs() throws Exception {
        Files.writeString(folder.resolve("bad.gguf"), "not an adapter");
        long begun = System.nanoTime();
        for (int i = 0; i < 100; i++) {
            assertFails(ask("bad"), ErrorCode.ADAPTER_INVALID, "bad");
        }
        long pauses = (System.nanoTime() - begun) / AdapterCache.FAILURE_PAUSE.toNanos();
        assertThat(attempts.get())
                .as("on a slow machine, one more after each pause")
                .isBetween(1, (int) pauses + 1);
        assertThat(cache.failureCount()).isEqualTo(attempts.get());

        publish("bad", "medical");

        assertThat(lease("bad").resolved()).hasSize(1);
        assertThat(cache.residentCount()).isEqualTo(1);
        assertThat(cache.residentBytes()).isEqualTo(cache.inMemory().get(0).bytes());
    }

    @Test
    void fileThatIsPublishedAgainWhileItIsLoadedIsLoadedAnew() throws Exception {
        CountDownLatch gate = hold("medical");
        CompletableFuture<AdapterCache.Lease> asked = ask("medical");
        awaitAttempts(1);
        publish("medical", "finance");
        gate.countDown();

        assertThat(get(asked).resolved().get(0).digest())
                .isEqualTo(lease("finance").resolved().get(0).digest());
        assertThat(cache.residentCount()).isEqualTo(1);
    }

    @Test
    void versionThatHasLeftAndIsOverwrittenInPlaceIsLoadedWhenTheFileIsStill() throws Exception {
        overwriteWhatHasLeft();
        CompletableFuture<AdapterCache.Lease> asked = ask("medical");
        awaitAttempts(2);
        writtenAt(Instant.now().minusSeconds(1));

        assertThat(get(asked).resolved().get(0).digest())
                .isEqualTo(lease("finance").resolved().get(0).digest());
    }

    @Test
    void whoWaitsForAFileToBeStillLearnsThatTheEngineWasClosed() throws Exception {
        overwriteWhatHasLeft();
        CompletableFuture<AdapterCache.Lease> asked = ask("medical");
        awaitAttempts(2);
        cache.stop();

        assertFails(asked, ErrorCode.ENGINE_CLOSED, "closed");
    }

    /** The version that was in memory is in no file any more, and the file may still be being written. */
    private void overwriteWhatHasLeft() throws Exception {
        lease("medical").release();
        cache.unload("medical");
        awaitFreed();
        Files.write(folder.resolve("medical.gguf"), Files.readAllBytes(folder.resolve("finance.gguf")));
        writtenAt(Instant.now().plusSeconds(50));
    }

    private void writtenAt(Instant time) throws IOException {
        Files.setLastModifiedTime(folder.resolve("medical.gguf"), FileTime.from(time));
    }

    @Test
    void fileThatIsRemovedWhileItIsLoadedIsNotFound() throws Exception {
        CountDownLatch gate = hold("medical");
        CompletableFuture<AdapterCache.Lease> asked = ask("medical");
        awaitAttempts(1);
        Files.delete(folder.resolve("medical.gguf"));
        gate.countDown();

        assertFails(asked, ErrorCode.ADAPTER_NOT_FOUND, "no adapter 'medical'");
        assertThat(cache.residentBytes()).isZero();
    }

    private void awaitAttempts(int count) throws Exception {
        Await.until(count + " attempts to load", () -> attempts.get() >= count);
    }

    /** Waits for all adapters; a separate thread frees them. */
    private void awaitFreed() throws Exception {
        Await.until("no bytes in memory", () -> cache.residentBytes() == 0);
    }

    @Test
    void oldVersionIsFreedWhenItsLastLeaseEnds() throws Exception {
        AdapterCache.Lease old = lease("medical");
        publish("medical", "finance");
        AdapterCache.Lease current = lease("medical");

        assertThat(current.resolved()).isNotEqualTo(old.resolved());
        assertThat(cache.residentCount()).isEqualTo(2);
        old.release();
        assertThat(cache.residentCount()).isEqualTo(1);
        current.release();
        assertThat(cache.residentCount()).isEqualTo(1);
    }

    @Test
    void oldVersionThatAnotherNameStandsForStays() throws Exception {
        publish("copy", "medical");
        lease("copy").release();
        lease("medical").release();
        assertThat(cache.residentCount()).isEqualTo(1);

        publish("medical", "finance");
        lease("medical").release();

        assertThat(cache.residentCount()).isEqualTo(2);
    }

    @Test
    void removedAdapterIsFreed() throws Exception {
        lease("medical").release();
        Files.delete(folder.resolve("medical.gguf"));

        assertFails(ask("medical"), ErrorCode.ADAPTER_NOT_FOUND, "medical");

        assertThat(cache.residentCount()).isZero();
        awaitFreed();
    }

    @Test
    void unloadFreesAnIdleAdapterAtOnceAndOneInUseAfterItsLastLease() throws Exception {
        AdapterCache.Lease medical = lease("medical");
        lease("legal").release();

        assertThat(cache.unload("legal")).isTrue();
        assertThat(cache.residentCount()).isEqualTo(1);
        assertThat(cache.unload("legal")).isFalse();
        assertThat(cache.unload("medical")).isTrue();
        assertThat(cache.residentCount()).isEqualTo(1);
        medical.release();
        awaitFreed();

        lease("medical").release();
        assertThat(cache.residentCount()).isEqualTo(1);
    }

    @Test
    void clearFreesTheIdleOnes() throws Exception {
        AdapterCache.Lease medical = lease("medical");
        lease("legal+formal").release();

        assertThat(cache.evictIdle()).isEqualTo(2);
        assertThat(cache.evictionCount()).isEqualTo(2);
        assertThat(cache.inMemory()).singleElement().satisfies(left -> {
            assertThat(left.file().name()).isEqualTo("medical");
            assertThat(left.leases()).isEqualTo(1);
        });
        medical.release();
    }

    @Test
    void whoWaitsForRoomLearnsThatTheEngineWasClosed() throws Exception {
        limit(1);
        AdapterCache.Lease held = lease("medical");
        CompletableFuture<AdapterCache.Lease> waiting = ask("legal");
        settle();

        cache.stop();

        assertFails(waiting, ErrorCode.ENGINE_CLOSED, "closed");
        assertFails(ask("medical"), ErrorCode.ENGINE_CLOSED, "closed");
        held.release();
    }
}
