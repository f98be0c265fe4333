package io.llamafu.engine;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.testing.Await;
import io.llamafu.testing.StubEngine;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

import static io.llamafu.testing.Failures.code;
import static org.assertj.core.api.Assertions.assertThat;

/** With engines that only count their memory. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class EngineRegistryTest {
    private static final long MODEL_BYTES = 1000;
    private static final long GPU_BYTES = 900;
    private static final Duration LONG = Duration.ofHours(1);

    private final AtomicInteger models = new AtomicInteger();
    private final AtomicInteger mostModels = new AtomicInteger();
    private final CopyOnWriteArrayList<Path> closed = new CopyOnWriteArrayList<>();
    private final CountDownLatch opening = new CountDownLatch(1);
    private final CountDownLatch closing = new CountDownLatch(1);
    private CountDownLatch mayClose = new CountDownLatch(0);
    private CountDownLatch mayOpen = new CountDownLatch(0);
    private Throwable failsToClose;
    private long available = Long.MAX_VALUE;
    private long adapterBudget;

    private final EngineRegistry registry = new EngineRegistry(options -> new Provider(), () -> available);

    private final class Provider implements EngineProvider {
        @Override
        public String name() {
            return "counting";
        }

        @Override
        public int priority() {
            return 0;
        }

        @Override
        public boolean isAvailable() {
            return true;
        }

        @Override
        public ModelChat inspect(EngineOptions options) {
            return ModelChat.NONE;
        }

        @Override
        public NeededMemory neededMemory(EngineOptions options) {
            long gpu = options.gpuLayers() == 0 ? 0 : GPU_BYTES;
            return new NeededMemory(MODEL_BYTES - gpu, gpu);
        }

        @Override
        public InferenceEngine open(EngineOptions options) {
            opening.countDown();
            await(mayOpen);
            mostModels.accumulateAndGet(models.incrementAndGet(), Math::max);
            return new CountingEngine(options);
        }
    }

    private final class CountingEngine extends StubEngine {
        private final EngineOptions options;
        private volatile boolean open = true;

        private CountingEngine(EngineOptions options) {
            this.options = options;
        }

        @Override
        public boolean isOpen() {
            return open;
        }

        @Override
        public EngineMetrics metrics() {
            return metrics(adapterBudget, new EngineMetrics.Memory(MODEL_BYTES, 0, 0, 0));
        }

        @Override
        public void close() {
            closing.countDown();
            await(mayClose);
            open = false;
            models.decrementAndGet();
            closed.add(options.model());
            if (failsToClose instanceof Error error) {
                throw error;
            }
        }
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    private static EngineOptions options(String model, Duration idleTimeout) {
        return EngineOptions.builder(Path.of(model)).idleTimeout(idleTimeout).build();
    }

    private void use(EngineOptions options) {
        registry.acquire(options).close();
    }

    @Test
    void whoComesWhileAnEngineIsClosedWaitsInsteadOfOpeningASecondModel() throws Exception {
        EngineOptions options = options("base.gguf", Duration.ZERO);
        mayClose = new CountDownLatch(1);
        use(options);
        await(closing);

        CompletableFuture<SharedEngines.Lease> next = new CompletableFuture<>();
        Thread acquiring = new Thread(() -> next.complete(registry.acquire(options)), "acquiring");
        acquiring.start();
        Await.untilItWaits(acquiring);
        assertThat(next).isNotDone();
        mayClose.countDown();

        assertThat(next.join().opened()).isTrue();
        assertThat(mostModels).hasValue(1);
        next.join().close();
        Await.until("the second is closed, too", () -> models.get() == 0);
    }

    @Test
    void modelThatIsRenamedIntoThePlaceOfAnotherHasAnEngineOfItsOwn(@TempDir Path folder) throws Exception {
        Path model = Files.writeString(folder.resolve("base.gguf"), "one");
        EngineOptions options = options(model.toString(), Duration.ZERO);
        try (SharedEngines.Lease before = registry.acquire(options);
                SharedEngines.Lease same = registry.acquire(options)) {
            Files.move(
                    Files.writeString(folder.resolve("new.gguf"), "two"), model, StandardCopyOption.REPLACE_EXISTING);

            try (SharedEngines.Lease after = registry.acquire(options)) {
                assertThat(same.engine()).isSameAs(before.engine());
                assertThat(after.engine()).isNotSameAs(before.engine());
                assertThat(before.engine().isOpen()).isTrue();
            }
        }
    }

    @Test
    void engineThatFailsToCloseInAnyWayIsForgotten() throws Exception {
        failsToClose = new NoClassDefFoundError("io/llamafu/Gone");
        use(options("base.gguf", Duration.ZERO));
        Await.until("it is forgotten", () -> registry.usage().isEmpty());
        assertThat(closed).hasSize(1);
    }

    @Test
    void closingAllEndsIdleEnginesAndTheirThreads() throws Exception {
        use(options("one.gguf", LONG));
        use(options("two.gguf", LONG));
        SharedEngines.Lease used = registry.acquire(options("three.gguf", LONG));

        registry.closeAll();

        assertThat(models).hasValue(0);
        assertThat(registry.usage()).isEmpty();
        used.close();
        Await.until("no thread waits for an idle engine", () -> Thread.getAllStackTraces().keySet().stream()
                .noneMatch(thread -> thread.getName().equals("llamafu-idle-engine")));
    }

    @Test
    void idleEnginesLeaveForOneThatDoesNotFitBesideThem() {
        available = 3 * MODEL_BYTES;
        use(options("first.gguf", LONG));
        use(options("second.gguf", LONG));
        SharedEngines.Lease used = registry.acquire(options("used.gguf", LONG));
        assertThat(closed).as("all fit").isEmpty();

        SharedEngines.Lease other = registry.acquire(options("other.gguf", LONG));

        assertThat(closed).as("as many as needed, the longest idle first").containsExactly(Path.of("first.gguf"));
        assertThat(mostModels).hasValue(3);
        available = 0;
        use(options("last.gguf", LONG));
        assertThat(closed).as("never one in use").containsExactly(Path.of("first.gguf"), Path.of("second.gguf"));
        used.close();
        other.close();
        registry.closeAll();
    }

    @Test
    void changedOptionDoesNotGetTheMemoryBudgetTwice() {
        EngineOptions.Builder options = EngineOptions.builder(Path.of("base.gguf"))
                .memoryBudget(2 * MODEL_BYTES - 1)
                .idleTimeout(LONG);
        use(options.contextSize(64).build());
        use(options.contextSize(128).build());
        assertThat(mostModels).hasValue(1);

        use(options.memoryBudget(2 * MODEL_BYTES).build());
        assertThat(mostModels).as("both fit").hasValue(2);
        registry.closeAll();
    }

    @Test
    void usageHasAllEnginesIdleOnesToo() {
        use(options("idle.gguf", LONG));
        SharedEngines.Lease used = registry.acquire(options("used.gguf", LONG));
        assertThat(registry.usage())
                .extracting(usage -> usage.options().model().toString())
                .containsExactlyInAnyOrder("idle.gguf", "used.gguf");
        assertThat(registry.usage())
                .extracting(usage -> usage.memory().total())
                .containsExactly(MODEL_BYTES, MODEL_BYTES);
        used.close();
        registry.closeAll();
        assertThat(registry.usage()).isEmpty();
    }

    @Test
    void weightsOnAGpuTakeNoHostMemory() {
        available = 2 * MODEL_BYTES;
        use(EngineOptions.builder(Path.of("gpu.gguf"))
                .gpuLayers(-1)
                .idleTimeout(LONG)
                .build());
        use(options("first.gguf", LONG));

        use(EngineOptions.builder(Path.of("other.gguf"))
                .gpuLayers(-1)
                .idleTimeout(LONG)
                .build());
        assertThat(closed).isEmpty();

        use(options("second.gguf", LONG));
        assertThat(closed).containsExactly(Path.of("gpu.gguf"), Path.of("first.gguf"));
        registry.closeAll();
    }

    @Test
    void othersCountWithAllAdaptersThatTheyMayLoad() {
        available = 10_000;
        EngineOptions own = options("own.gguf", LONG);
        SharedEngines.Lease other = registry.acquire(options("other.gguf", LONG));
        assertThat(registry.bytesLeftFor(own)).isEqualTo(9000);
        adapterBudget = 2500;
        assertThat(registry.bytesLeftFor(own)).isEqualTo(6500);

        SharedEngines.Lease itself = registry.acquire(own);
        assertThat(registry.bytesLeftFor(own)).as("without the engine itself").isEqualTo(6500);
        itself.close();
        other.close();
        registry.closeAll();
    }

    @Test
    void callerThatWaitsForAnEngineCanBeInterrupted() throws Exception {
        EngineOptions options = options("base.gguf", LONG);
        mayOpen = new CountDownLatch(1);
        CompletableFuture<SharedEngines.Lease> first = CompletableFuture.supplyAsync(() -> registry.acquire(options));
        await(opening); // or the caller that is to wait could be the one that opens it

        assertInterruptible(options, opening);

        mayOpen.countDown();
        first.join().close();
        registry.closeAll();
    }

    @Test
    void callerThatWaitsForAnIdleEngineToCloseCanBeInterrupted() throws Exception {
        available = MODEL_BYTES;
        mayClose = new CountDownLatch(1);
        EngineOptions idle = options("idle.gguf", LONG);
        use(idle);

        assertInterruptible(options("other.gguf", LONG), closing);

        assertThat(mostModels).as("nothing was opened beside it").hasValue(1);
        mayClose.countDown();
        Await.until("it is closed all the same", () -> closed.contains(Path.of("idle.gguf")));
        use(options("other.gguf", LONG));
        registry.closeAll();
    }

    /** @param reached when the caller has to wait */
    private void assertInterruptible(EngineOptions options, CountDownLatch reached) throws Exception {
        CompletableFuture<Throwable> failure = new CompletableFuture<>();
        Thread waiter = new Thread(() -> {
            try {
                registry.acquire(options).close();
            } catch (LlamafuException e) {
                failure.complete(e);
            }
        });
        waiter.start();
        await(reached);
        waiter.interrupt();
        assertThat(failure.get(1, TimeUnit.MINUTES)).has(code(ErrorCode.ENGINE_CLOSED));
    }
}
