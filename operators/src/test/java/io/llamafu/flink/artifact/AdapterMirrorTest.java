package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterCard;
import io.llamafu.adapter.AdapterCatalog;
import io.llamafu.adapter.AdapterFile;
import io.llamafu.testing.Await;
import org.apache.flink.util.FileUtils;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
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
        open(adapters, refreshInterval, maxBytes, Duration.ofMinutes(5));
    }

    private void open(RemoteAdapters adapters, Duration refreshInterval, long maxBytes, Duration stalled) {
        ArtifactCache.Settings settings = new ArtifactCache.Settings(temporary.resolve("cache"), maxBytes);
        cache = ArtifactCache.open(
                settings,
                new ArtifactCache.Tuning(
                        stalled.dividedBy(2), Duration.ofMinutes(1), 1 << 20, CacheDisk.LOCAL, new SoundContents()));
        mirror = AdapterMirror.open(new AdapterMirror.Settings(adapters, settings, refreshInterval, stalled), cache);
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
            return files.map(file -> file.getFileName().toString())
                    .filter(file -> !file.equals(".versions"))
                    .sorted()
                    .toList();
        }
    }

    /** As an engine sees it. */
    private AdapterFile resolved(String name) {
        return new AdapterCatalog(mirror.folder()).resolve(name);
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
        publish("medical.json", "{\"description\": \"one\"}");
        publish("other.json", "{}");
        open(OFTEN, 0);
        use("medical").close();
        assertThat(localFiles()).containsExactly("medical.gguf");
        assertThat(resolved("medical").card().description()).isEqualTo("one");

        publish("medical.json", "{\"description\": \"two\"}");
        Await.until(
                "the new card", () -> resolved("medical").card().description().equals("two"));
        store.remove("adapters/medical.json");
        Await.until("no card", () -> resolved("medical").card().equals(AdapterCard.NONE));
        assertThat(local("medical.gguf")).hasContent("medical 1");
    }

    @Test
    void newCardNeverMeetsTheOldAdapter() throws Exception {
        publish("medical.json", "{\"defaultScale\": 1}");
        open(OFTEN, 0);
        use("medical").close();
        AdapterCatalog engine = new AdapterCatalog(Optional.of(mirror.folder()), Map.of(), Duration.ZERO);
        String old = engine.resolve("medical").digest();
        for (int version = 2; version < 6; version++) {
            store.closeGate(path -> path.endsWith(".gguf"));
            publish("medical.json", "{\"defaultScale\": " + version + "}");
            publish("medical.gguf", "medical " + version);
            int reads = version;
            Await.until("the fetch", () -> store.reads("adapters/medical.gguf") >= reads);
            assertThat(engine.resolve("medical").digest()).isEqualTo(old);
            assertThat(engine.resolve("medical").card().defaultScale()).isEqualTo(version - 1);

            store.openGate();
            String expected = Sha256.of("medical " + version);
            Await.until("the new version", () -> {
                AdapterFile file = engine.resolve("medical");
                assertThat(file.card().defaultScale() == reads)
                        .as("card of the new, adapter %s", file.digest())
                        .isEqualTo(file.digest().equals(expected));
                return file.digest().equals(expected);
            });
            old = expected;
        }
    }

    @Test
    void newCardWaitsForAnAdapterThatCannotBeFetched() throws Exception {
        publish("medical.json", "{\"defaultScale\": 1}");
        open(OFTEN, 0);
        use("medical").close();
        store.breakAfter("medical 2".length() - 1);
        publish("medical.json", "{}");
        publish("medical.gguf", "medical 2");
        Await.until("a second attempt", () -> store.reads("adapters/medical.gguf") >= 3);

        assertThat(mirror.use(List.of("medical"))).as("the old version answers").isCompleted();
        assertThat(resolved("medical").digest()).isEqualTo(Sha256.of("medical 1"));
        assertThat(resolved("medical").card().defaultScale()).isEqualTo(1);
    }

    @Test
    void largeCardIsRefusedUnread() throws Exception {
        store.publish("adapters/medical.json", new byte[(64 << 10) + 1]);
        open(OFTEN, 0);
        assertFails(
                mirror.use(List.of("medical")),
                ErrorCode.ADAPTER_INVALID,
                "medical.json' of the adapter 'medical' has 65537 bytes",
                "at most 65536 are read");
        assertThat(store.reads("adapters/medical.json")).isZero();
        use("legal").close();
    }

    @Test
    void unchangedAdaptersAreNotAskedForOneByOne() throws Exception {
        store.tellWholeSeconds();
        for (int adapter = 0; adapter < 5; adapter++) {
            Path file = temporary.resolve("remote/adapters/a" + adapter + ".gguf");
            Files.writeString(file, "a " + adapter);
            Files.setLastModifiedTime(file, FileTime.fromMillis(1_700_000_000_123L));
        }
        open(OFTEN, 0);
        use("a0", "a1", "a2", "a3", "a4").close();
        awaitListings(2);
        long calls = store.statusCalls();
        awaitListings(5);
        assertThat(store.statusCalls()).as("listings say enough").isEqualTo(calls);

        Files.writeString(temporary.resolve("remote/adapters/a0.gguf"), "A 0");
        Files.setLastModifiedTime(
                temporary.resolve("remote/adapters/a0.gguf"), FileTime.fromMillis(1_700_000_000_456L));
        Await.until("the version of the same second", () -> holds(local("a0.gguf"), "A 0"));
    }

    private void awaitListings(int count) throws Exception {
        int before = store.listingThreads().size();
        Await.until("listings", () -> store.listingThreads().size() >= before + count);
    }

    @Test
    void whatSomebodyRemovedOrChangedLocallyIsFetchedAgain() throws Exception {
        publish("medical.json", "{\"defaultScale\": 2}");
        open(NEVER, 0);
        use("medical").close();
        Files.delete(local("medical.gguf"));
        use("medical").close();
        assertThat(local("medical.gguf")).hasContent("medical 1");

        Files.delete(resolved("medical").path().resolveSibling("medical.json"));
        use("medical").close();
        assertThat(resolved("medical").card().defaultScale()).isEqualTo(2);

        FileUtils.deleteDirectory(mirror.folder().toFile());
        use("medical").close();
        assertThat(local("medical.gguf")).hasContent("medical 1");
        assertThat(store.reads("adapters/medical.gguf"))
                .as("all from the cache")
                .isEqualTo(1);

        Files.writeString(local("medical.gguf").toRealPath(), "MEDICAL");
        use("medical").close();
        assertThat(local("medical.gguf")).as("a damaged file").hasContent("medical 1");
        assertThat(store.reads("adapters/medical.gguf")).isEqualTo(2);
    }

    @Test
    void storeThatHangsHoldsUpNoOther() throws Exception {
        RemoteStore other = RemoteStore.over(Files.createDirectories(temporary.resolve("other")));
        TreeMap<String, URI> files = new TreeMap<>();
        for (int file = 0; file < 5; file++) {
            other.publish("f" + file + ".gguf", "file".getBytes(UTF_8));
            files.put("f" + file, other.uri("f" + file + ".gguf"));
        }
        open(folder(files), OFTEN, 0);
        other.closeGate();
        List<CompletableFuture<AdapterMirror.Use>> hanging = new ArrayList<>();
        files.keySet().forEach(name -> hanging.add(mirror.use(List.of(name))));
        Await.until(
                "four fetches",
                () -> files.keySet().stream()
                                .filter(name -> other.reads(name + ".gguf") == 1)
                                .count()
                        == 4);

        use("medical").close();
        publish("medical.gguf", "medical 2");
        Await.until("the new version", () -> holds(local("medical.gguf"), "medical 2"));
        publish("new.gguf", "new 1");
        use("new").close();
        assertThat(hanging).noneMatch(CompletableFuture::isDone);
        other.openGate();
        for (CompletableFuture<AdapterMirror.Use> use : hanging) {
            get(use).close();
        }
    }

    @Test
    void fetchesThatHangAreGivenUpAndMakePlace() throws Exception {
        for (int adapter = 0; adapter < 5; adapter++) {
            publish("a" + adapter + ".gguf", "a " + adapter);
        }
        open(folder(Map.of()), NEVER, 0, Duration.ofMillis(200));
        store.closeGate(path -> !path.contains("a4"));
        List<CompletableFuture<AdapterMirror.Use>> hanging = new ArrayList<>();
        for (int adapter = 0; adapter < 4; adapter++) {
            hanging.add(mirror.use(List.of("a" + adapter)));
        }
        use("a4").close();
        for (CompletableFuture<AdapterMirror.Use> use : hanging) {
            assertFails(
                    use,
                    ErrorCode.ARTIFACT_UNAVAILABLE,
                    "made no progress",
                    store.uri("adapters").toString());
        }
        store.openGate();
        Await.until("a0 after all", () -> mirror.use(List.of("a0"))
                .handle((use, failure) -> failure == null)
                .get(30, TimeUnit.SECONDS));
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
        assertThat(localFiles())
                .as("legal would not have made enough room")
                .containsExactly("legal.gguf", "medical.gguf");

        medical.close();
        Await.until("room for finance", () -> mirror.use(List.of("finance"))
                .handle((use, failure) -> failure == null)
                .join());
        assertThat(localFiles()).containsExactly("finance.gguf", "legal.gguf");
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
        assertThat(resolved("tone").path().resolveSibling("tone.json")).hasContent("{}");
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
        assertFails(mirror.use(List.of("y")), ErrorCode.ADAPTER_NOT_FOUND, "'y' in adapters.files; it has x.");
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
