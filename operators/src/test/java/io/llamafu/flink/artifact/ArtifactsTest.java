package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.Completion;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.LoadedAdapter;
import io.llamafu.engine.ResolvedAdapter;
import io.llamafu.engine.SharedEngines;
import io.llamafu.testing.Await;
import io.llamafu.testing.TinyModel;
import io.llamafu.testing.TinyModel.Golden;
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
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

/** The trained model and its adapters from a remote store, on the real engine. */
@Timeout(120)
class ArtifactsTest {
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

    private Artifacts acquire(Location model, Location adapters) {
        return acquire(model, adapters, "");
    }

    private Artifacts acquire(Location model, Location adapters, String preload) {
        return acquire(model, adapters, Map.of(), preload);
    }

    private Artifacts acquire(Location model, Location adapters, Map<String, Location> files, String preload) {
        return Artifacts.acquire(new ArtifactOptions(
                model,
                Optional.of(adapters),
                files,
                CacheFolder.at(temporary.resolve("cache")),
                0,
                OFTEN,
                List.of(AdapterStack.parse(preload))));
    }

    private Artifacts acquire() {
        return acquire(remote("base.gguf"), remote("adapters"));
    }

    private static EngineOptions engine(Artifacts artifacts) {
        EngineOptions.Builder options = EngineOptions.builder(artifacts.model())
                .adapters(artifacts.adapters().orElseThrow())
                .contextSize(512)
                .parallelSequences(2)
                .threads(1)
                .idleTimeout(Duration.ZERO);
        artifacts.adapterFiles().forEach(options::adapter);
        return options.build();
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
        return engine.submit(request(prompt, stack)).get(30, TimeUnit.SECONDS).text();
    }

    private static void assertFails(CompletableFuture<Completion> answer, ErrorCode code, String message) {
        assertThatThrownBy(() -> answer.get(30, TimeUnit.SECONDS))
                .isInstanceOf(ExecutionException.class)
                .hasMessageContaining(message)
                .cause()
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(code));
    }

    @Test
    void localFilesAreUsedInPlace() {
        Artifacts artifacts = acquire(new Location.Local(TinyModel.model()), new Location.Local(TinyModel.adapters()));
        try (artifacts) {
            assertThat(artifacts.model()).isEqualTo(TinyModel.model());
            assertThat(artifacts.adapters()).contains(TinyModel.adapters());
        }
        assertThat(temporary.resolve("cache")).doesNotExist();
    }

    @Test
    void equalLocationsGiveOneEngine() {
        try (Artifacts ours = acquire();
                Artifacts theirs = acquire();
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
        try (Artifacts artifacts = acquire()) {
            before = engine(artifacts);
        }
        try (Artifacts artifacts = acquire()) {
            assertThat(engine(artifacts)).isEqualTo(before);
        }
        assertThat(store.reads("base.gguf")).isEqualTo(1);
    }

    @Test
    void modelPublishedAgainIsAnotherEngine() throws Exception {
        try (Artifacts before = acquire()) {
            byte[] other = Files.readAllBytes(TinyModel.model());
            other[other.length - 1] ^= 1;
            store.publish("base.gguf", other);
            try (Artifacts after = acquire()) {
                assertThat(engine(after)).isNotEqualTo(engine(before));
                assertThat(before.model()).exists();
            }
        }
    }

    @Test
    void answersAreThoseOfTheAdaptersWhateverIsPublishedMeanwhile() throws Exception {
        Golden medical = golden("medical");
        Golden legal = golden("legal");
        try (Artifacts artifacts = acquire();
                SharedEngines.Lease lease = SharedEngines.acquire(engine(artifacts))) {
            InferenceEngine engine = artifacts.over(lease.engine());
            assertThat(ask(engine, medical.prompt(), "medical")).isEqualTo(medical.expected());

            publishAdapter("newcomer", "legal");
            assertThat(ask(engine, legal.prompt(), "newcomer")).isEqualTo(legal.expected());

            publishAdapter("medical", "legal");
            Await.until("the new version answers", () -> ask(engine, legal.prompt(), "medical")
                    .equals(legal.expected()));
            store.remove("adapters/newcomer.gguf");
            Await.until("the newcomer is gone", () -> engine.submit(request(legal.prompt(), "newcomer"))
                    .handle((answer, failure) -> failure != null)
                    .get(30, TimeUnit.SECONDS));
            assertFails(engine.submit(request(legal.prompt(), "newcomer")), ErrorCode.ADAPTER_NOT_FOUND, "newcomer");
            assertThat(ask(engine, legal.prompt(), "")).as("the base model").isNotEmpty();
        }
    }

    @Test
    void waitForAnAdapterCountsTowardsTheTimeout() throws Exception {
        Golden medical = golden("medical");
        try (Artifacts artifacts = acquire();
                SharedEngines.Lease lease = SharedEngines.acquire(engine(artifacts))) {
            InferenceEngine engine = artifacts.over(lease.engine());
            store.closeGate();
            CompletableFuture<Completion> late =
                    engine.submit(request(medical.prompt(), "medical").withTimeout(Duration.ofMillis(50)));
            CompletableFuture<Completion> cancelled = engine.submit(request(medical.prompt(), "medical"));
            CompletableFuture<Completion> patient = engine.submit(request(medical.prompt(), "medical"));
            cancelled.cancel(false);
            assertFails(late, ErrorCode.DEADLINE_EXCEEDED, "adapters of 'medical' were not fetched within PT0.05S");
            store.openGate();
            assertThat(patient.get(30, TimeUnit.SECONDS).text()).isEqualTo(medical.expected());
            assertThat(lease.engine().metrics().requests())
                    .as("asked of the engine")
                    .isEqualTo(1);
        }
    }

    @Test
    void adaptersToPreloadAreHereFromTheBeginning() throws Exception {
        Map<String, Location> files = Map.of("own", localFile("legal"), "far", remote("adapters/legal.gguf"));
        publishAdapter("legal", "legal");
        try (Artifacts artifacts = acquire(remote("base.gguf"), remote("adapters"), files, "medical+own+far")) {
            assertThat(artifacts.adapters().orElseThrow())
                    .isDirectoryContaining("glob:**/medical.gguf")
                    .isDirectoryContaining("glob:**/far.gguf");
        }
        assertThatThrownBy(() -> acquire(remote("base.gguf"), remote("adapters"), "missing")
                        .close())
                .hasMessageContainingAll("'missing'", store.uri("adapters").toString())
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.ADAPTER_NOT_FOUND));
        assertThat(temporary.resolve("cache/sessions")).isEmptyDirectory();
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
        try (Artifacts artifacts = acquire(remote("base.gguf"), remote("adapters"), files, "");
                SharedEngines.Lease lease = SharedEngines.acquire(engine(artifacts))) {
            InferenceEngine engine = artifacts.over(lease.engine());
            assertThat(engine.adapters())
                    .as("fetched or not")
                    .extracting(LoadedAdapter::name, LoadedAdapter::problem)
                    .containsExactly(
                            tuple("far", Optional.empty()),
                            tuple("medical", Optional.empty()),
                            tuple("own", Optional.empty()));
            assertThat(ask(engine, legal.prompt(), "own")).isEqualTo(legal.expected());
            assertThat(ask(engine, finance.prompt(), "far")).isEqualTo(finance.expected());
            assertThat(engine.preload(AdapterStack.parse("medical+own")).get(30, TimeUnit.SECONDS))
                    .extracting(ResolvedAdapter::name)
                    .containsExactly("medical", "own");
            assertThat(engine.unload("medical")).isTrue();
            assertThat(engine.clear()).as("own and far").isEqualTo(2);
            assertThat(engine.adapters())
                    .extracting(LoadedAdapter::name, LoadedAdapter::rank)
                    .containsExactly(tuple("far", 4L), tuple("medical", 4L), tuple("own", 4L));
        }
    }

    @Test
    void remoteFilesAnswerBesideALocalFolder() throws Exception {
        Golden legal = golden("legal");
        Golden medical = golden("medical");
        Location local = new Location.Local(TinyModel.adapters());
        Map<String, Location> files = Map.of("far", remote("far.gguf"));
        try (Artifacts artifacts = acquire(new Location.Local(TinyModel.model()), local, files, "");
                SharedEngines.Lease lease = SharedEngines.acquire(engine(artifacts))) {
            assertThat(artifacts.adapters()).contains(TinyModel.adapters());
            InferenceEngine engine = artifacts.over(lease.engine());
            assertFails(engine.submit(request("x", "far")), ErrorCode.ADAPTER_NOT_FOUND, "'far' in adapters.files");
            assertFails(engine.submit(request("x", "unknown")), ErrorCode.ADAPTER_NOT_FOUND, "'unknown' in '");

            store.publish("far.gguf", TinyModel.adapters().resolve("legal.gguf"));
            assertThat(ask(engine, legal.prompt(), "far")).isEqualTo(legal.expected());
            assertThat(ask(engine, medical.prompt(), "medical")).isEqualTo(medical.expected());
        }
    }

    @Test
    void nameOfALocalAndARemoteFileIsRefused() {
        for (Location adapters : List.of(remote("adapters"), new Location.Local(TinyModel.adapters()))) {
            Location file = adapters instanceof Location.Local ? remote("medical.gguf") : localFile("medical");
            assertThatThrownBy(() -> {
                        try (Artifacts artifacts =
                                acquire(remote("base.gguf"), adapters, Map.of("medical", file), "")) {
                            engine(artifacts).adapterCatalog();
                        }
                    })
                    .isInstanceOfSatisfying(
                            LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_OPTION))
                    .hasMessageContainingAll(
                            "The adapter 'medical' is '", "in adapters.files", "take one of them away");
        }
    }

    @Test
    void badAdapterIsNamedByItsUri() throws Exception {
        store.publish("adapters/bad.gguf", new byte[100]);
        try (Artifacts artifacts = acquire();
                SharedEngines.Lease lease = SharedEngines.acquire(engine(artifacts))) {
            InferenceEngine engine = artifacts.over(lease.engine());
            CompletableFuture<Completion> answer = engine.submit(request("x", "bad"));
            assertFails(answer, ErrorCode.ADAPTER_INVALID, store.uri("adapters").toString());
        }
    }

    @Test
    void remoteFoldersAreListedNeitherByCallersNorByTheDecodeThread() throws Exception {
        try (Artifacts artifacts = acquire();
                SharedEngines.Lease lease = SharedEngines.acquire(engine(artifacts))) {
            int opening = store.listingThreads().size();
            InferenceEngine engine = artifacts.over(lease.engine());
            Golden medical = golden("medical");
            for (int round = 0; round < 20; round++) {
                ask(engine, medical.prompt(), "medical");
            }
            assertFails(engine.submit(request("x", "unknown")), ErrorCode.ADAPTER_NOT_FOUND, "unknown");
            List<String> threads = store.listingThreads();
            assertThat(threads.subList(opening, threads.size())).containsOnly("llamafu-adapter-listing");
        }
    }

    @Test
    void remoteFolderIsListedAtMostOnceASecondWhateverTheInterval() throws Exception {
        ArtifactOptions options = new ArtifactOptions(
                remote("base.gguf"),
                Optional.of(remote("adapters")),
                Map.of(),
                CacheFolder.at(temporary.resolve("cache")),
                0,
                Duration.ZERO,
                List.of());
        assertThat(options.remoteRefreshInterval()).isEqualTo(Duration.ofSeconds(1));
        try (Artifacts artifacts = Artifacts.acquire(options)) {
            assertThat(artifacts.adapters()).isPresent();
            int before = store.listingThreads().size();
            long start = System.nanoTime();
            Await.until("another listing", () -> store.listingThreads().size() > before);
            long seconds = Duration.ofNanos(System.nanoTime() - start).toSeconds();
            assertThat(store.listingThreads().size() - before).isLessThanOrEqualTo((int) seconds + 1);
        }
        Predicate<String> names = options.adapterNames();
        for (int change = 0; change < 100; change++) {
            assertThat(names.test("medical")).isTrue();
        }
        assertThat(store.statusCalls()).as("of the router too").isLessThan(50);
    }

    @Test
    void cacheByTwoPathsIsOne() throws Exception {
        Path real = Files.createDirectories(temporary.resolve("real"));
        Path link = Files.createSymbolicLink(temporary.resolve("linked"), real);
        try (Artifacts one = acquireIn(real.resolve("cache"));
                Artifacts other = acquireIn(link.resolve("cache"))) {
            assertThat(engine(other)).as("one engine").isEqualTo(engine(one));
            assertThat(one.model()).exists();
        }
        assertThat(store.reads("base.gguf")).isEqualTo(1);
        assertThat(real.resolve("cache/sessions")).isEmptyDirectory();
    }

    private Artifacts acquireIn(Path cache) {
        return Artifacts.acquire(new ArtifactOptions(
                remote("base.gguf"),
                Optional.of(remote("adapters")),
                Map.of(),
                CacheFolder.at(cache),
                0,
                OFTEN,
                List.of()));
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
        assertThatThrownBy(() -> acquire(model, adapters).close())
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
