package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.testing.Await;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** The local side of a remote adapter folder. What is in the files does not matter here. */
@Timeout(120)
class AdapterMirrorTest {
    private static final Duration OFTEN = Duration.ofMillis(20);
    private static final Duration NEVER = Duration.ofHours(1);

    @TempDir
    private Path temporary;

    private RemoteStore store;
    private ArtifactCache cache;
    private AdapterMirror mirror;

    @BeforeEach
    void createStore() throws IOException {
        store = RemoteStore.over(Files.createDirectories(temporary.resolve("remote")));
        publish("medical.gguf", "medical 1");
        publish("legal.gguf", "legal 1");
    }

    @AfterEach
    void close() {
        if (mirror != null) {
            mirror.close();
        }
        cache.close();
    }

    private void open(Duration refreshInterval, long maxBytes) {
        open(folder(Map.of()), refreshInterval, maxBytes);
    }

    private void open(RemoteAdapters adapters, Duration refreshInterval, long maxBytes) {
        ArtifactCache.Settings settings = new ArtifactCache.Settings(temporary.resolve("cache"), maxBytes);
        cache = ArtifactCache.open(settings);
        mirror = AdapterMirror.open(new AdapterMirror.Settings(adapters, settings, refreshInterval), cache);
    }

    private RemoteAdapters folder(Map<String, URI> files) {
        return new RemoteAdapters(Optional.of(store.uri("adapters")), new TreeMap<>(files));
    }

    private void publish(String file, String content) throws IOException {
        store.publish("adapters/" + file, content.getBytes(UTF_8));
    }

    private static AdapterMirror.Use get(CompletableFuture<AdapterMirror.Use> use) throws Exception {
        return use.get(30, TimeUnit.SECONDS);
    }

    private AdapterMirror.Use use(String... names) throws Exception {
        return get(mirror.use(List.of(names)));
    }

    private Path local(String file) {
        return mirror.folder().resolve(file);
    }

    private List<String> localFiles() throws IOException {
        try (Stream<Path> files = Files.list(mirror.folder())) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }

    private static boolean holds(Path file, String content) {
        try {
            return Files.readString(file).equals(content);
        } catch (IOException e) {
            return false;
        }
    }

    private void assertFails(CompletableFuture<AdapterMirror.Use> use, ErrorCode code, String... messages) {
        assertThatThrownBy(() -> get(use))
                .isInstanceOf(ExecutionException.class)
                .satisfies(failure -> {
                    LlamafuException reason = AdapterMirror.reason(failure.getCause());
                    assertThat(reason.code()).isEqualTo(code);
                    assertThat(reason).hasMessageContainingAll(messages);
                });
    }

    @Test
    void adapterIsFetchedWhenItIsFirstAskedFor() throws Exception {
        open(NEVER, 0);
        assertThat(localFiles()).isEmpty();

        use("medical").close();
        assertThat(local("medical.gguf")).hasContent("medical 1");
        assertThat(localFiles()).containsExactly("medical.gguf");
        assertThat(mirror.use(List.of("medical"))).as("at hand").isCompleted();
        assertThat(store.reads("adapters/medical.gguf")).isEqualTo(1);
        assertThat(store.reads("adapters/legal.gguf")).isZero();
    }

    @Test
    void oneFetchServesAllWhoWait() throws Exception {
        open(NEVER, 0);
        store.closeGate();
        List<CompletableFuture<AdapterMirror.Use>> uses = new ArrayList<>();
        for (int request = 0; request < 20; request++) {
            uses.add(mirror.use(List.of("medical", "legal")));
        }
        assertThat(uses).noneMatch(CompletableFuture::isDone);
        store.openGate();
        for (CompletableFuture<AdapterMirror.Use> use : uses) {
            get(use).close();
        }
        assertThat(store.reads("adapters/medical.gguf")).isEqualTo(1);
        assertThat(store.reads("adapters/legal.gguf")).isEqualTo(1);
    }

    @Test
    void newVersionComesWithoutBeingAskedForAndTheOldOneStaysUntilThen() throws Exception {
        open(OFTEN, 0);
        use("medical").close();
        store.closeGate();
        publish("medical.gguf", "medical 2");
        Await.until("the second fetch", () -> store.reads("adapters/medical.gguf") == 2);
        assertThat(mirror.use(List.of("medical"))).as("the old version answers").isCompleted();
        assertThat(local("medical.gguf")).hasContent("medical 1");
        store.openGate();
        Await.until("the new version", () -> holds(local("medical.gguf"), "medical 2"));
    }

    @Test
    void descriptionGoesWithItsAdapter() throws Exception {
        publish("medical.json", "{}");
        publish("other.json", "{}");
        open(OFTEN, 0);
        use("medical").close();
        assertThat(localFiles()).containsExactly("medical.gguf", "medical.json");

        publish("medical.json", "{ }");
        Await.until("the new card", () -> holds(local("medical.json"), "{ }"));
        store.remove("adapters/medical.json");
        Await.until("no card", () -> Files.notExists(local("medical.json")));
        assertThat(local("medical.gguf")).hasContent("medical 1");
    }

    @Test
    void removedAdapterIsGone() throws Exception {
        open(OFTEN, 0);
        use("medical").close();
        store.remove("adapters/medical.gguf");
        Await.until("no adapter", () -> Files.notExists(local("medical.gguf")));
        assertFails(
                mirror.use(List.of("medical")),
                ErrorCode.ADAPTER_NOT_FOUND,
                "'medical' in '" + store.uri("adapters") + "'",
                "it has legal");

        store.remove("adapters/legal.gguf");
        Files.delete(temporary.resolve("remote/adapters"));
        int listings = store.listingThreads().size();
        Await.until("a listing", () -> store.listingThreads().size() >= listings + 2);
        assertFails(mirror.use(List.of("legal")), ErrorCode.ADAPTER_NOT_FOUND, "holds no NAME.gguf file");
    }

    @Test
    void unknownNameIsLookedForAtOnceAndByOneListing() throws Exception {
        open(NEVER, 0);
        publish("finance.gguf", "finance 1");
        List<CompletableFuture<AdapterMirror.Use>> unknown = new ArrayList<>();
        for (int request = 0; request < 100; request++) {
            unknown.add(mirror.use(List.of("unknown-" + request)));
        }
        use("finance").close();
        for (CompletableFuture<AdapterMirror.Use> use : unknown) {
            assertFails(use, ErrorCode.ADAPTER_NOT_FOUND, "it has finance, legal, medical");
        }
        assertThat(store.listingThreads())
                .as("the first when it was opened, the other for all who asked")
                .containsExactly(Thread.currentThread().getName(), "llamafu-adapter-listing");
    }

    @Test
    void outageStopsNoAdapterThatIsHere() throws Exception {
        open(NEVER, 0);
        use("medical").close();
        store.setFailing(true);
        assertThat(mirror.use(List.of("medical"))).isCompleted();
        String uri = store.uri("adapters").toString();
        assertFails(mirror.use(List.of("unknown")), ErrorCode.ARTIFACT_UNAVAILABLE, uri, "the store is down");
        assertFails(
                mirror.use(List.of("medical", "legal")),
                ErrorCode.ARTIFACT_UNAVAILABLE,
                uri + "/legal.gguf",
                "the store is down");
        assertFails(mirror.use(List.of("legal")), ErrorCode.ARTIFACT_UNAVAILABLE, "the store is down");

        store.setFailing(false);
        Await.until("the store can be read", () -> {
            CompletableFuture<AdapterMirror.Use> use = mirror.use(List.of("legal"));
            return use.isDone() && !use.isCompletedExceptionally();
        });
    }

    @Test
    void idleAdapterLeavesForAnotherAndOneInUseStays() throws Exception {
        publish("finance.gguf", "finance 1");
        open(NEVER, "medical 1".length() + "legal 1".length());
        AdapterMirror.Use medical = use("medical");
        use("legal").close();
        assertFails(mirror.use(List.of("finance")), ErrorCode.ARTIFACT_UNAVAILABLE, "cache.max-size");
        assertThat(localFiles()).as("legal made room, which was not enough").containsExactly("medical.gguf");

        medical.close();
        Await.until("room for finance", () -> mirror.use(List.of("finance"))
                .handle((use, failure) -> failure == null)
                .join());
        assertThat(localFiles()).containsExactly("finance.gguf");
        use("legal").close();
        assertThat(localFiles()).as("finance and legal do fit").containsExactly("finance.gguf", "legal.gguf");
    }

    @Test
    void filesOfAnyFileSystemAreAdaptersToo() throws Exception {
        RemoteStore other = RemoteStore.over(Files.createDirectories(temporary.resolve("other")));
        other.publish("v2/tone-file.gguf", "tone 1".getBytes(UTF_8));
        other.publish("v2/tone-file.json", "{}".getBytes(UTF_8));
        open(folder(Map.of("tone", other.uri("v2/tone-file.gguf"), "late", other.uri("late.bin"))), OFTEN, 0);
        use("tone", "medical").close();
        assertThat(local("tone.gguf")).hasContent("tone 1");
        assertThat(local("tone.json")).hasContent("{}");
        assertThat(mirror.notFetched()).isEqualTo(Map.of("legal", 7L));
        assertFails(mirror.use(List.of("late")), ErrorCode.ADAPTER_NOT_FOUND, "' and adapters.files; it has legal");

        other.publish("late.bin", "late 1".getBytes(UTF_8));
        use("late").close();
        assertThat(local("late.gguf")).hasContent("late 1");
        other.publish("v2/tone-file.gguf", "tone 2".getBytes(UTF_8));
        Await.until("the new version", () -> holds(local("tone.gguf"), "tone 2"));
        other.remove("v2/tone-file.gguf");
        Await.until("no adapter", () -> Files.notExists(local("tone.gguf")));
        assertThat(other.listingThreads()).as("folders of files are not listed").isEmpty();
    }

    @Test
    void filesWithoutAFolderAreEnough() throws Exception {
        open(
                new RemoteAdapters(Optional.empty(), new TreeMap<>(Map.of("x", store.uri("adapters/legal.gguf")))),
                NEVER,
                0);
        use("x").close();
        assertThat(local("x.gguf")).hasContent("legal 1");
        store.remove("adapters/legal.gguf");
        assertFails(mirror.use(List.of("y")), ErrorCode.ADAPTER_NOT_FOUND, "'y' in adapters.files; no file is there");
    }

    @Test
    void nameOfTwoRemoteFilesIsRefused() {
        assertThatThrownBy(() -> open(folder(Map.of("legal", store.uri("other.gguf"))), NEVER, 0))
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_OPTION))
                .hasMessageContainingAll(
                        "The adapter 'legal' is '" + store.uri("other.gguf") + "' in adapters.files",
                        store.uri("adapters/legal.gguf").toString());
    }

    @Test
    void onlyAdapterNamesAreTaken() throws Exception {
        publish(".hidden.gguf", "x");
        publish("no name.gguf", "x");
        publish("readme.txt", "x");
        store.publish("adapters/folder.gguf/x", "x".getBytes(UTF_8));
        open(NEVER, 0);
        assertFails(mirror.use(List.of("folder")), ErrorCode.ADAPTER_NOT_FOUND, "it has legal, medical.");
    }

    @Test
    void whoWaitsWhenItIsClosedGetsAnError() throws Exception {
        open(NEVER, 0);
        store.closeGate();
        CompletableFuture<AdapterMirror.Use> fetching = mirror.use(List.of("medical"));
        CompletableFuture<AdapterMirror.Use> listing = mirror.use(List.of("unknown"));
        mirror.close();
        assertFails(fetching, ErrorCode.ENGINE_CLOSED, "not used any more");
        assertFails(listing, ErrorCode.ENGINE_CLOSED, "not used any more");
        assertFails(mirror.use(List.of("medical")), ErrorCode.ENGINE_CLOSED, "not used any more");
        store.openGate();
        Await.until("no thread that fetches", () -> Thread.getAllStackTraces().keySet().stream()
                .noneMatch(thread -> thread.getName().equals("llamafu-adapter-fetch")));
    }
}
