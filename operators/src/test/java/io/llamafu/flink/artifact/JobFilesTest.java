package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterSource;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.LocalAdapters;
import io.llamafu.adapter.Sha256;
import io.llamafu.engine.AppliedAdapter;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.LoadedAdapter;
import io.llamafu.engine.SharedEngines;
import io.llamafu.testing.Await;
import io.llamafu.testing.TinyModel;
import io.llamafu.testing.TinyModel.Golden;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

/** The trained model and its adapters from a remote store, on the real engine. */
@Timeout(120)
class JobFilesTest {
    private static final Duration OFTEN = Duration.ofMillis(20);

    @TempDir
    private Path temporary;

    private RemoteStore store;

    @BeforeEach
    void createStore() throws IOException {
        store = RemoteStore.over(Files.createDirectories(temporary.resolve("remote")));
        store.publish("base.gguf", TinyModel.model());
        publishAdapter("medical", "medical");
    }

    private void publishAdapter(String name, String content) throws IOException {
        store.publish("adapters/" + name + ".gguf", TinyModel.adapters().resolve(content + ".gguf"));
    }

    private Location remote(String path) {
        return new Location.Remote(store.uri(path));
    }

    private JobFiles acquire(Location model, Location adapters) {
        return acquire(model, adapters, Map.of());
    }

    private JobFiles acquire(Location model, Location adapters, Map<String, Location> files) {
        return JobFiles.acquire(options(model, adapters, files, temporary.resolve("cache"), OFTEN));
    }

    private static ArtifactOptions options(
            Location model, Location adapters, Map<String, Location> files, Path cache, Duration interval) {
        return new ArtifactOptions(model, Optional.of(adapters), files, CacheFolder.at(cache), 0, interval);
    }

    private JobFiles acquire() {
        return acquire(remote("base.gguf"), remote("adapters"));
    }

    private static EngineOptions engine(JobFiles artifacts, String... preload) {
        return EngineOptions.builder(artifacts.model())
                .adapters(artifacts.adapters())
                .adapterRefreshInterval(Duration.ZERO)
                .adapterPreload(Stream.of(preload).map(AdapterStack::parse).toList())
                .contextSize(512)
                .parallelSequences(2)
                .threads(1)
                .idleTimeout(Duration.ZERO)
                .build();
    }

    /** An engine is closed in the background when nobody uses it any more, and with it the session of its adapters. */
    @AfterEach
    void awaitClosed() throws Exception {
        Path folder = temporary.resolve("cache/sessions");
        Await.until("no session", () -> {
            if (Files.notExists(folder)) {
                return true;
            }
            try (Stream<Path> sessions = Files.list(folder)) {
                return sessions.findAny().isEmpty();
            }
        });
        RemoteStore.awaitNoFetch();
    }

    private static Golden golden(String stack) {
        return TinyModel.golden().stream()
                .filter(golden -> golden.stack().equals(AdapterStack.parse(stack)))
                .findFirst()
                .orElseThrow();
    }

    private static CompletionRequest request(String prompt, String stack) {
        return CompletionRequest.of(prompt, AdapterStack.parse(stack)).withMaxTokens(48);
    }

    private static String ask(InferenceEngine engine, String prompt, String stack) throws Exception {
        return engine.submit(request(prompt, stack)).get(60, TimeUnit.SECONDS).text();
    }

    private static void assertFails(CompletableFuture<CompletionResult> answer, ErrorCode code, String message) {
        assertThatThrownBy(() -> answer.get(60, TimeUnit.SECONDS))
                .isInstanceOf(ExecutionException.class)
                .hasMessageContaining(message)
                .cause()
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(code));
    }

    @Test
    void localFilesAreUsedInPlace() {
        JobFiles artifacts = acquire(new Location.Local(TinyModel.model()), new Location.Local(TinyModel.adapters()));
        try (artifacts) {
            assertThat(artifacts.model()).isEqualTo(TinyModel.model());
            assertThat(artifacts.modelDigest()).as("the engine computes it").isEmpty();
            assertThat(artifacts.adapters()).isEqualTo(LocalAdapters.of(TinyModel.adapters()));
        }
        assertThat(temporary.resolve("cache")).doesNotExist();
    }

    @Test
    void equalLocationsGiveOneEngine() {
        try (JobFiles ours = acquire();
                JobFiles theirs = acquire();
                SharedEngines.Lease one = SharedEngines.acquire(engine(ours));
                SharedEngines.Lease other = SharedEngines.acquire(engine(theirs))) {
            assertThat(engine(theirs)).isEqualTo(engine(ours));
            assertThat(other.engine()).isSameAs(one.engine());
            assertThat(one.opened()).isTrue();
            assertThat(other.opened()).isFalse();
        }
        assertThat(store.reads("base.gguf")).isEqualTo(1);
    }

    @Test
    void restartFindsTheEngineThatIsStillWarm() {
        EngineOptions before;
        try (JobFiles artifacts = acquire()) {
            before = engine(artifacts);
        }
        try (JobFiles artifacts = acquire()) {
            assertThat(engine(artifacts)).isEqualTo(before);
        }
        assertThat(store.reads("base.gguf")).isEqualTo(1);
    }

    @Test
    void modelPublishedAgainIsAnotherEngine() throws Exception {
        try (JobFiles before = acquire()) {
            byte[] other = Files.readAllBytes(TinyModel.model());
            other[other.length - 1] ^= 1;
            store.publish("base.gguf", other);
            try (JobFiles after = acquire()) {
                assertThat(engine(after)).isNotEqualTo(engine(before));
                assertThat(before.model()).exists();
            }
        }
    }

    @Test
    void answersAreThoseOfTheAdaptersWhateverIsPublishedMeanwhile() throws Exception {
        Golden medical = golden("medical");
        Golden legal = golden("legal");
        try (JobFiles artifacts = acquire();
                SharedEngines.Lease lease = SharedEngines.acquire(engine(artifacts))) {
            InferenceEngine engine = lease.engine();
            assertThat(ask(engine, medical.prompt(), "medical")).isEqualTo(medical.expected());

            publishAdapter("newcomer", "legal");
            assertThat(ask(engine, legal.prompt(), "newcomer")).isEqualTo(legal.expected());

            publishAdapter("medical", "legal");
            Await.until("the new version answers", () -> ask(engine, legal.prompt(), "medical")
                    .equals(legal.expected()));
            store.remove("adapters/newcomer.gguf");
            Await.until("the newcomer is gone", () -> engine.submit(request(legal.prompt(), "newcomer"))
                    .handle((answer, failure) -> failure != null)
                    .get(60, TimeUnit.SECONDS));
            assertFails(engine.submit(request(legal.prompt(), "newcomer")), ErrorCode.ADAPTER_NOT_FOUND, "newcomer");
            assertThat(ask(engine, legal.prompt(), "")).as("the base model").isNotEmpty();
        }
    }

    @Test
    void waitForAnAdapterCountsTowardsTheTimeout() throws Exception {
        Golden medical = golden("medical");
        try (JobFiles artifacts = acquire();
                SharedEngines.Lease lease = SharedEngines.acquire(engine(artifacts))) {
            InferenceEngine engine = lease.engine();
            store.closeGate();
            CompletableFuture<CompletionResult> late =
                    engine.submit(request(medical.prompt(), "medical").withTimeout(Duration.ofMillis(50)));
            CompletableFuture<CompletionResult> cancelled = engine.submit(request(medical.prompt(), "medical"));
            CompletableFuture<CompletionResult> patient = engine.submit(request(medical.prompt(), "medical"));
            cancelled.cancel(false);
            assertFails(late, ErrorCode.DEADLINE_EXCEEDED, "not answered within its timeout of PT0.05S");
            store.openGate();
            assertThat(patient.get(60, TimeUnit.SECONDS).text()).isEqualTo(medical.expected());
            assertThat(store.reads("adapters/medical.gguf")).isEqualTo(1);
        }
    }

    @Test
    void adaptersToPreloadAreInMemoryFromTheBeginning() throws Exception {
        Map<String, Location> files = Map.of("own", localFile("legal"), "far", remote("far.gguf"));
        store.publish("far.gguf", TinyModel.adapters().resolve("finance.gguf"));
        try (JobFiles artifacts = acquire(remote("base.gguf"), remote("adapters"), files)) {
            EngineOptions preloading = engine(artifacts, "medical+own", "far:0.5");
            try (SharedEngines.Lease lease = SharedEngines.acquire(preloading)) {
                assertThat(lease.engine().adapters())
                        .filteredOn(LoadedAdapter::resident)
                        .extracting(LoadedAdapter::name)
                        .containsExactly("far", "medical", "own");
            }
            assertThatThrownBy(() ->
                            SharedEngines.acquire(engine(artifacts, "missing")).close())
                    .hasMessageContainingAll("'missing'", store.uri("adapters").toString())
                    .isInstanceOfSatisfying(
                            LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.ADAPTER_NOT_FOUND));
        }
    }

    @Test
    void adaptersOfAnEngineStayOpenAsLongAsTheEngine() throws Exception {
        Golden medical = golden("medical");
        JobFiles artifacts = acquire();
        try (SharedEngines.Lease lease = SharedEngines.acquire(engine(artifacts))) {
            artifacts.close();
            assertThat(ask(lease.engine(), medical.prompt(), "medical")).isEqualTo(medical.expected());
        }
    }

    private static Location localFile(String adapter) {
        return new Location.Local(TinyModel.adapters().resolve(adapter + ".gguf"));
    }

    @Test
    void filesOfARemoteFolderAndOfAdaptersFilesAnswerTogether() throws Exception {
        publishAdapter("elsewhere/finance", "finance");
        Map<String, Location> files =
                Map.of("own", localFile("legal"), "far", remote("adapters/elsewhere/finance.gguf"));
        Golden legal = golden("legal");
        Golden finance = golden("finance");
        try (JobFiles artifacts = acquire(remote("base.gguf"), remote("adapters"), files);
                SharedEngines.Lease lease = SharedEngines.acquire(engine(artifacts))) {
            InferenceEngine engine = lease.engine();
            assertThat(engine.adapters())
                    .as("fetched or not")
                    .extracting(LoadedAdapter::name, LoadedAdapter::problem)
                    .containsExactly(
                            tuple("far", Optional.empty()),
                            tuple("medical", Optional.empty()),
                            tuple("own", Optional.empty()));
            assertThat(ask(engine, legal.prompt(), "own")).isEqualTo(legal.expected());
            assertThat(ask(engine, finance.prompt(), "far")).isEqualTo(finance.expected());
            assertThat(engine.preload(AdapterStack.parse("medical+own")).get(60, TimeUnit.SECONDS))
                    .extracting(AppliedAdapter::name)
                    .containsExactly("medical", "own");
            assertThat(engine.unload("medical")).isTrue();
            assertThat(engine.clear()).as("own and far").isEqualTo(2);
            assertThat(engine.adapters())
                    .extracting(LoadedAdapter::name, adapter -> adapter.info().rank())
                    .containsExactly(tuple("far", 4L), tuple("medical", 4L), tuple("own", 4L));
        }
    }

    @Test
    void remoteFilesAnswerBesideALocalFolder() throws Exception {
        Golden legal = golden("legal");
        Golden medical = golden("medical");
        Location local = new Location.Local(TinyModel.adapters());
        Map<String, Location> files = Map.of("far", remote("far.gguf"));
        try (JobFiles artifacts = acquire(new Location.Local(TinyModel.model()), local, files);
                SharedEngines.Lease lease = SharedEngines.acquire(engine(artifacts))) {
            InferenceEngine engine = lease.engine();
            assertFails(engine.submit(request("x", "far")), ErrorCode.ADAPTER_NOT_FOUND, "'far' in '");
            assertFails(engine.submit(request("x", "unknown")), ErrorCode.ADAPTER_NOT_FOUND, "'unknown' in '");

            store.publish("far.gguf", TinyModel.adapters().resolve("legal.gguf"));
            assertThat(ask(engine, legal.prompt(), "far")).isEqualTo(legal.expected());
            assertThat(ask(engine, medical.prompt(), "medical")).isEqualTo(medical.expected());
        }
    }

    @Test
    void badAdapterIsNamedByItsUri() throws Exception {
        store.publish("adapters/bad.gguf", new byte[100]);
        try (JobFiles artifacts = acquire();
                SharedEngines.Lease lease = SharedEngines.acquire(engine(artifacts))) {
            InferenceEngine engine = lease.engine();
            CompletableFuture<CompletionResult> answer = engine.submit(request("x", "bad"));
            assertFails(answer, ErrorCode.ADAPTER_INVALID, store.uri("adapters").toString());
        }
    }

    @Test
    void remoteFoldersAreListedNeitherByCallersNorByTheDecodeThread() throws Exception {
        try (JobFiles artifacts = acquire();
                SharedEngines.Lease lease = SharedEngines.acquire(engine(artifacts))) {
            InferenceEngine engine = lease.engine();
            Golden medical = golden("medical");
            for (int round = 0; round < 20; round++) {
                ask(engine, medical.prompt(), "medical");
            }
            assertFails(engine.submit(request("x", "unknown")), ErrorCode.ADAPTER_NOT_FOUND, "unknown");
            assertThat(store.listingThreads()).containsOnly("llamafu-adapter-listing");
        }
    }

    @Test
    void remoteFolderIsListedAtMostOnceASecondWhateverTheInterval() throws Exception {
        ArtifactOptions options =
                options(remote("base.gguf"), remote("adapters"), Map.of(), temporary.resolve("cache"), Duration.ZERO);
        try (JobFiles artifacts = JobFiles.acquire(options);
                AdapterSource.Session adapters = artifacts.adapters().open()) {
            assertThat(adapters.names()).containsExactly("medical");
            int before = store.listingThreads().size();
            long start = System.nanoTime();
            Await.until("another listing", () -> store.listingThreads().size() > before);
            int listings = store.listingThreads().size() - before;
            long seconds = Duration.ofNanos(System.nanoTime() - start).toSeconds();
            assertThat(listings).isLessThanOrEqualTo((int) seconds + 1);
        }
        Predicate<String> names = options.adapterSource().lookUps();
        for (int change = 0; change < 100; change++) {
            assertThat(names.test("medical")).isTrue();
        }
        assertThat(store.statusCalls()).as("of the router too").isLessThan(50);
    }

    @Test
    void cacheByTwoPathsIsOne() throws Exception {
        Path real = Files.createDirectories(temporary.resolve("real"));
        Path link = Files.createSymbolicLink(temporary.resolve("linked"), real);
        try (JobFiles one = acquireIn(real.resolve("cache"));
                JobFiles other = acquireIn(link.resolve("cache"))) {
            assertThat(engine(other)).as("one engine").isEqualTo(engine(one));
            assertThat(one.model()).exists();
            assertThat(one.modelDigest()).contains(Sha256.of(TinyModel.model()));
        }
        assertThat(store.reads("base.gguf")).isEqualTo(1);
        assertThat(real.resolve("cache/sessions")).isEmptyDirectory();
    }

    private JobFiles acquireIn(Path cache) {
        return JobFiles.acquire(options(remote("base.gguf"), remote("adapters"), Map.of(), cache, OFTEN));
    }

    @Test
    void whatCannotBeHadIsACodedErrorWithTheUri() throws Exception {
        assertRefused(remote("missing.gguf"), remote("adapters"), ErrorCode.MODEL_NOT_FOUND, "missing.gguf");
        assertRefused(remote("adapters"), remote("adapters"), ErrorCode.MODEL_NOT_FOUND, "is a folder");
        assertRefused(remote("base.gguf"), remote("missing"), ErrorCode.INVALID_OPTION, store.uri("missing") + "'");
        Location nowhere = new Location.Remote(URI.create("nowhere://bucket/base.gguf"));
        assertRefused(nowhere, remote("adapters"), ErrorCode.INVALID_OPTION, "no file system for 'nowhere'");
        store.setFailing(true);
        assertRefused(remote("base.gguf"), remote("adapters"), ErrorCode.ARTIFACT_UNAVAILABLE, "the store is down");
        assertRefused(
                new Location.Local(TinyModel.model()),
                remote("adapters"),
                ErrorCode.ARTIFACT_UNAVAILABLE,
                store.uri("adapters").toString());
        assertThat(temporary.resolve("cache/sessions")).as("nothing is left").isEmptyDirectory();
    }

    private void assertRefused(Location model, Location adapters, ErrorCode code, String message) {
        assertThatThrownBy(() -> {
                    try (JobFiles artifacts = acquire(model, adapters)) {
                        artifacts.adapters().open().close();
                    }
                })
                .hasMessageContaining(message)
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(code));
    }

    @ParameterizedTest
    @CsvSource({
        "s3://bucket/models/base.gguf, s3://bucket/models/base.gguf",
        "s3://bucket/adapters/, s3://bucket/adapters",
        "hdfs://host:8020/my models/base.gguf, hdfs://host:8020/my%20models/base.gguf",
    })
    void remoteLocations(String value, String uri) {
        assertThat(Location.parse("model", value)).isEqualTo(new Location.Remote(URI.create(uri)));
    }
}
