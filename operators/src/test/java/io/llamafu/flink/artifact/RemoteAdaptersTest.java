package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterCatalog;
import io.llamafu.adapter.AdapterCatalog.OpenStack;
import io.llamafu.adapter.AdapterFile;
import io.llamafu.adapter.AdapterSource;
import io.llamafu.adapter.AdapterSourceContract;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.LocalAdapters;
import io.llamafu.adapter.Sha256;
import io.llamafu.testing.Await;
import io.llamafu.testing.Catalogs;
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

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Adapters of a remote store. What is in the files does not matter to most tests. */
@Timeout(120)
class RemoteAdaptersTest implements AdapterSourceContract {
    private static final Duration OFTEN = Duration.ofMillis(20);
    private static final Duration NEVER = Duration.ofHours(1);

    @TempDir
    private Path temporary;

    private RemoteStore store;
    private Optional<AdapterCatalog> open = Optional.empty();
    private long maxBytes;
    private Duration stalled = Duration.ofMinutes(5);

    @BeforeEach
    void createStore() throws IOException {
        store = RemoteStore.over(Files.createDirectories(temporary.resolve("remote")));
        Files.createDirectories(temporary.resolve("remote/adapters"));
    }

    @AfterEach
    void close() throws Exception {
        store.openGate();
        open.ifPresent(AdapterCatalog::close);
        RemoteStore.awaitNoFetch();
    }

    @Override
    public AdapterSource source() {
        return source(folder(Map.of()), OFTEN);
    }

    private AdapterSource source(RemoteFiles files, Duration refreshInterval) {
        return source(files, new LocalAdapters(Optional.empty(), Map.of()), refreshInterval);
    }

    private AdapterSource source(RemoteFiles files, LocalAdapters local, Duration refreshInterval) {
        ArtifactCache.Settings cache =
                new ArtifactCache.Settings(temporary.toAbsolutePath().resolve("cache"), maxBytes);
        return new RemoteAdapters(files, local, cache, refreshInterval, stalled);
    }

    @Override
    public void publish(String file, byte[] content) throws IOException {
        store.publish("adapters/" + file, content);
    }

    private void publish(String file, String content) throws IOException {
        publish(file, content.getBytes(UTF_8));
    }

    private void publishTwo() throws IOException {
        publish("medical.gguf", "medical 1");
        publish("legal.gguf", "legal 1");
    }

    @Override
    public void remove(String file) throws IOException {
        store.remove("adapters/" + file);
    }

    private RemoteFiles folder(Map<String, URI> files) {
        return new RemoteFiles(Optional.of(store.uri("adapters")), new TreeMap<>(files));
    }

    private AdapterCatalog open(RemoteFiles files, Duration refreshInterval) {
        open = Optional.of(Catalogs.of(source(files, refreshInterval)));
        return open.get();
    }

    private AdapterCatalog open(Duration refreshInterval) {
        return open(folder(Map.of()), refreshInterval);
    }

    private static boolean holds(AdapterCatalog catalog, String name, String content) {
        return Catalogs.resolve(catalog, name).digest().equals(Sha256.of(content));
    }

    private static OpenStack use(AdapterCatalog catalog, String stack) throws Exception {
        return catalog.open(AdapterStack.parse(stack), file -> true).get(60, TimeUnit.SECONDS);
    }

    private static void assertFails(CompletableFuture<?> future, ErrorCode code, String... messages) {
        assertThatThrownBy(() -> future.get(60, TimeUnit.SECONDS))
                .isInstanceOf(ExecutionException.class)
                .cause()
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(code))
                .hasMessageContainingAll(messages);
    }

    @Test
    void adapterIsFetchedOnceWhenItIsFirstAskedFor() throws Exception {
        publishTwo();
        AdapterCatalog catalog = open(NEVER);
        store.closeGate();
        List<CompletableFuture<AdapterFile>> asked = new ArrayList<>();
        for (int request = 0; request < 20; request++) {
            asked.add(catalog.resolve("medical"));
        }
        assertThat(asked).noneMatch(CompletableFuture::isDone);
        store.openGate();
        for (CompletableFuture<AdapterFile> one : asked) {
            assertThat(one.get(60, TimeUnit.SECONDS).digest()).isEqualTo(Sha256.of("medical 1"));
        }
        assertThat(catalog.resolve("medical")).as("at hand").isCompleted();
        use(catalog, "medical").close();
        assertThat(store.reads("adapters/medical.gguf")).isEqualTo(1);
        assertThat(store.reads("adapters/legal.gguf")).isZero();
    }

    @Test
    void newVersionComesWithoutBeingAskedForAndTheOldOneAnswersUntilThen() throws Exception {
        publishTwo();
        AdapterCatalog catalog = open(OFTEN);
        Catalogs.resolve(catalog, "medical");
        store.closeGate();
        publish("medical.gguf", "medical 2");
        Await.until("the second fetch", () -> store.reads("adapters/medical.gguf") == 2);
        assertThat(catalog.resolve("medical")).as("the old version").isCompleted();
        assertThat(holds(catalog, "medical", "medical 1")).isTrue();
        store.openGate();
        Await.until("the new version", () -> holds(catalog, "medical", "medical 2"));
    }

    @Test
    void newCardNeverMeetsTheOldAdapter() throws Exception {
        publish("medical.json", "{\"defaultScale\": 1}");
        publish("medical.gguf", "medical 1");
        AdapterCatalog catalog = open(OFTEN);
        String old = Catalogs.resolve(catalog, "medical").digest();
        for (int version = 2; version < 6; version++) {
            store.closeGate(path -> path.endsWith(".gguf"));
            publish("medical.json", "{\"defaultScale\": " + version + "}");
            publish("medical.gguf", "medical " + version);
            int reads = version;
            Await.until("the fetch", () -> store.reads("adapters/medical.gguf") >= reads);
            assertThat(Catalogs.resolve(catalog, "medical").digest()).isEqualTo(old);
            assertThat(Catalogs.resolve(catalog, "medical").card().defaultScale())
                    .isEqualTo(version - 1);

            store.openGate();
            String expected = Sha256.of("medical " + version);
            Await.until("the new version", () -> {
                AdapterFile file = Catalogs.resolve(catalog, "medical");
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
        publish("medical.gguf", "medical 1");
        AdapterCatalog catalog = open(OFTEN);
        Catalogs.resolve(catalog, "medical");
        store.breakAfter("medical 2".length() - 1);
        publish("medical.json", "{}");
        publish("medical.gguf", "medical 2");
        Await.until("a second attempt", () -> store.reads("adapters/medical.gguf") >= 3);

        assertThat(catalog.resolve("medical")).as("the old version").isCompleted();
        assertThat(holds(catalog, "medical", "medical 1")).isTrue();
        assertThat(Catalogs.resolve(catalog, "medical").card().defaultScale()).isEqualTo(1);
    }

    @Test
    void largeCardIsRefusedUnread() throws Exception {
        publishTwo();
        publish("medical.json", new byte[(64 << 10) + 1]);
        AdapterCatalog catalog = open(OFTEN);
        assertFails(
                catalog.resolve("medical"),
                ErrorCode.ADAPTER_INVALID,
                "medical.json' of the adapter 'medical' has 65537 bytes",
                "at most 65536 are read");
        assertThat(store.reads("adapters/medical.json")).isZero();
        Catalogs.resolve(catalog, "legal");
    }

    @Test
    void unchangedAdaptersAreNotAskedForOneByOne() throws Exception {
        store.tellWholeSeconds();
        for (int adapter = 0; adapter < 5; adapter++) {
            Path file = temporary.resolve("remote/adapters/a" + adapter + ".gguf");
            Files.writeString(file, "a " + adapter);
            Files.setLastModifiedTime(file, FileTime.fromMillis(1_700_000_000_123L));
        }
        AdapterCatalog catalog = open(OFTEN);
        use(catalog, "a0+a1+a2+a3+a4").close();
        awaitListings(2);
        long calls = store.statusCalls();
        awaitListings(5);
        assertThat(store.statusCalls()).as("listings say enough").isEqualTo(calls);

        Files.writeString(temporary.resolve("remote/adapters/a0.gguf"), "A 0");
        Files.setLastModifiedTime(
                temporary.resolve("remote/adapters/a0.gguf"), FileTime.fromMillis(1_700_000_000_456L));
        Await.until("the version of the same second", () -> holds(catalog, "a0", "A 0"));
    }

    private void awaitListings(int count) throws Exception {
        int before = store.listingThreads().size();
        Await.until("listings", () -> store.listingThreads().size() >= before + count);
    }

    @Test
    void fileThatWasRemovedOrDamagedIsFetchedAgainWhenItIsNeeded() throws Exception {
        publishTwo();
        AdapterCatalog catalog = open(NEVER);
        Path content = Catalogs.resolve(catalog, "medical").path();
        Files.delete(content);
        use(catalog, "medical").close();
        assertThat(content).hasContent("medical 1");
        assertThat(store.reads("adapters/medical.gguf")).isEqualTo(2);

        Files.writeString(content, "MEDICAL");
        use(catalog, "medical").close();
        assertThat(content).as("a damaged file").hasContent("medical 1");
        assertThat(store.reads("adapters/medical.gguf")).isEqualTo(3);

        FileUtils.deleteDirectory(temporary.resolve("cache/sessions").toFile());
        try (OpenStack stack = use(catalog, "medical")) {
            assertThat(stack.files().get(0).isUnchanged()).isTrue();
        }
        assertThat(store.reads("adapters/medical.gguf")).isEqualTo(3);
    }

    @Test
    void versionThatIsNowhereAnyMoreMakesWayForTheNextOne() throws Exception {
        publishTwo();
        AdapterCatalog catalog = open(NEVER);
        Files.delete(Catalogs.resolve(catalog, "medical").path());
        publish("medical.gguf", "medical 2");

        try (OpenStack stack = use(catalog, "medical")) {
            assertThat(stack.files().get(0).path()).hasContent("medical 2");
        }
        assertThat(holds(catalog, "medical", "medical 2")).isTrue();
    }

    @Test
    void storeThatHangsHoldsUpNoOther() throws Exception {
        publishTwo();
        RemoteStore other = RemoteStore.over(Files.createDirectories(temporary.resolve("other")));
        TreeMap<String, URI> files = new TreeMap<>();
        for (int file = 0; file < 5; file++) {
            other.publish("f" + file + ".gguf", "file".getBytes(UTF_8));
            files.put("f" + file, other.uri("f" + file + ".gguf"));
        }
        AdapterCatalog catalog = open(folder(files), OFTEN);
        other.closeGate();
        List<CompletableFuture<AdapterFile>> hanging = new ArrayList<>();
        files.keySet().forEach(name -> hanging.add(catalog.resolve(name)));
        Await.until(
                "four fetches",
                () -> files.keySet().stream()
                                .filter(name -> other.reads(name + ".gguf") == 1)
                                .count()
                        == 4);

        Catalogs.resolve(catalog, "medical");
        publish("medical.gguf", "medical 2");
        Await.until("the new version", () -> holds(catalog, "medical", "medical 2"));
        publish("new.gguf", "new 1");
        Catalogs.resolve(catalog, "new");
        assertThat(hanging).noneMatch(CompletableFuture::isDone);
        other.openGate();
        for (CompletableFuture<AdapterFile> one : hanging) {
            one.get(60, TimeUnit.SECONDS);
        }
    }

    @Test
    void fetchesThatHangAreGivenUpAndMakePlace() throws Exception {
        for (int adapter = 0; adapter < 5; adapter++) {
            publish("a" + adapter + ".gguf", "a " + adapter);
        }
        AdapterCatalog catalog = openThoughImpatient();
        store.closeGate(path -> !path.contains("a4"));
        List<CompletableFuture<AdapterFile>> hanging = new ArrayList<>();
        for (int adapter = 0; adapter < 4; adapter++) {
            hanging.add(catalog.resolve("a" + adapter));
        }
        awaitAnswer(catalog, "a4");
        for (CompletableFuture<AdapterFile> one : hanging) {
            assertFails(
                    one,
                    ErrorCode.ARTIFACT_UNAVAILABLE,
                    "made no progress",
                    store.uri("adapters").toString());
        }
        store.openGate();
        awaitAnswer(catalog, "a0");
    }

    /** What makes no progress is soon given up; on a slow machine so late that the first listing is not. */
    private AdapterCatalog openThoughImpatient() {
        stalled = Duration.ofMillis(100);
        while (true) {
            stalled = stalled.multipliedBy(2);
            try {
                return open(NEVER);
            } catch (LlamafuException e) {
                if (e.code() != ErrorCode.ARTIFACT_UNAVAILABLE || stalled.compareTo(Duration.ofMinutes(1)) > 0) {
                    throw e;
                }
            }
        }
    }

    private static void awaitAnswer(AdapterCatalog catalog, String name) throws Exception {
        Await.until(name, () -> catalog.resolve(name)
                .handle((file, failure) -> failure == null)
                .get(60, TimeUnit.SECONDS));
    }

    @Test
    void listingThatHangsDoesNotKeepATaskFromStarting() throws Exception {
        stalled = Duration.ofMillis(200);
        store.closeListings();
        assertThatThrownBy(() -> open(NEVER))
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.ARTIFACT_UNAVAILABLE))
                .hasMessageContaining("made no progress");
    }

    @Test
    void folderOfAnObjectStoreIsGoneWithItsLastFile() throws Exception {
        publish("legal.gguf", "legal 1");
        AdapterCatalog catalog = open(OFTEN);
        remove("legal.gguf");
        Files.delete(temporary.resolve("remote/adapters"));
        awaitListings(2);
        assertFails(catalog.resolve("legal"), ErrorCode.ADAPTER_NOT_FOUND, "it holds no NAME.gguf file");
    }

    @Test
    void unknownNamesAreLookedForAtOnceAndByOneListing() throws Exception {
        publishTwo();
        AdapterCatalog catalog = open(NEVER);
        publish("finance.gguf", "finance 1");
        List<CompletableFuture<AdapterFile>> unknown = new ArrayList<>();
        long begun = System.nanoTime();
        for (int request = 0; request < 100; request++) {
            unknown.add(catalog.resolve("unknown-" + request));
        }
        long secondsToAsk = Duration.ofNanos(System.nanoTime() - begun).toSeconds();
        Catalogs.resolve(catalog, "finance");
        for (CompletableFuture<AdapterFile> one : unknown) {
            assertFails(one, ErrorCode.ADAPTER_NOT_FOUND, "it has finance, legal, medical");
        }
        assertThat(store.listingThreads())
                .as("the first when it was opened, the other for all who asked within a second")
                .hasSizeBetween(2, 2 + (int) secondsToAsk)
                .containsOnly("llamafu-adapter-listing");
    }

    @Test
    void outageStopsNoAdapterThatIsHere() throws Exception {
        publishTwo();
        AdapterCatalog catalog = open(NEVER);
        Catalogs.resolve(catalog, "medical");
        store.setFailing(true);
        assertThat(catalog.resolve("medical")).isCompleted();
        use(catalog, "medical").close();
        String uri = store.uri("adapters").toString();
        assertFails(catalog.resolve("unknown"), ErrorCode.ARTIFACT_UNAVAILABLE, uri, "the store is down");
        assertFails(catalog.resolve("legal"), ErrorCode.ARTIFACT_UNAVAILABLE, uri + "/legal.gguf", "the store is down");

        store.setFailing(false);
        awaitAnswer(catalog, "legal");
    }

    @Test
    void openFileIsNotEvictedAndOthersMakeRoom() throws Exception {
        publishTwo();
        publish("finance.gguf", "finance 1");
        maxBytes = "medical 1legal 1".length();
        AdapterCatalog catalog = open(NEVER);
        OpenStack medical = use(catalog, "medical");
        Path legal = Catalogs.resolve(catalog, "legal").path();
        assertFails(catalog.resolve("finance"), ErrorCode.ARTIFACT_UNAVAILABLE, "cache.max-size");
        assertThat(legal).as("it would not have made enough room").exists();

        Path content = medical.files().get(0).path();
        medical.close();
        awaitAnswer(catalog, "finance");
        assertThat(content).doesNotExist();
        assertThat(catalog.resolve("medical"))
                .as("what is in memory needs no file")
                .isCompleted();
    }

    @Test
    void filesOfAnyFileSystemAreAdaptersToo() throws Exception {
        publishTwo();
        RemoteStore other = RemoteStore.over(Files.createDirectories(temporary.resolve("other")));
        other.publish("v2/tone-file.gguf", "tone 1".getBytes(UTF_8));
        other.publish("v2/tone-file.json", "{\"defaultScale\": 2}".getBytes(UTF_8));
        AdapterCatalog catalog =
                open(folder(Map.of("tone", other.uri("v2/tone-file.gguf"), "late", other.uri("late.bin"))), OFTEN);
        assertThat(holds(catalog, "tone", "tone 1")).isTrue();
        assertThat(Catalogs.resolve(catalog, "tone").card().defaultScale()).isEqualTo(2);
        assertFails(
                catalog.resolve("late"),
                ErrorCode.ADAPTER_NOT_FOUND,
                "' and adapters.files; it has legal, medical, tone.");

        other.publish("late.bin", "late 1".getBytes(UTF_8));
        assertThat(holds(catalog, "late", "late 1")).isTrue();
        other.publish("v2/tone-file.gguf", "tone 2".getBytes(UTF_8));
        Await.until("the new version", () -> holds(catalog, "tone", "tone 2"));
        other.remove("v2/tone-file.gguf");
        Await.until("no adapter", () -> catalog.resolve("tone")
                .handle((file, failure) -> failure != null)
                .get(60, TimeUnit.SECONDS));
        assertThat(other.listingThreads()).as("folders of files are not listed").isEmpty();
    }

    @Test
    void filesWithoutAFolderAreEnough() throws Exception {
        publishTwo();
        AdapterCatalog catalog = open(
                new RemoteFiles(Optional.empty(), new TreeMap<>(Map.of("x", store.uri("adapters/legal.gguf")))), NEVER);
        assertThat(holds(catalog, "x", "legal 1")).isTrue();
        assertFails(catalog.resolve("y"), ErrorCode.ADAPTER_NOT_FOUND, "'y' in adapters.files; it has x.");
    }

    @Test
    void nameOfTwoFilesIsRefused() throws Exception {
        publishTwo();
        RemoteStore elsewhere = RemoteStore.over(temporary.resolve("remote"));
        Path file = Files.writeString(temporary.resolve("legal.gguf"), "legal");
        LocalAdapters none = new LocalAdapters(Optional.empty(), Map.of());
        RemoteFiles remoteFile =
                new RemoteFiles(Optional.empty(), new TreeMap<>(Map.of("legal", store.uri("other.gguf"))));
        List<AdapterSource> sources = List.of(
                source(folder(Map.of("legal", store.uri("other.gguf"))), none, NEVER),
                source(folder(Map.of("legal", elsewhere.uri("adapters/legal.gguf"))), none, NEVER),
                source(folder(Map.of()), new LocalAdapters(Optional.empty(), Map.of("legal", file)), NEVER),
                source(remoteFile, LocalAdapters.of(temporary), NEVER));
        for (AdapterSource twice : sources) {
            assertThatThrownBy(() -> twice.open().close())
                    .isInstanceOfSatisfying(
                            LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_OPTION))
                    .hasMessageContainingAll(
                            "The adapter 'legal' is '", "in adapters.files, and ", "take one of them away");
        }
    }

    @Test
    void whoWaitsWhenItIsClosedGetsAnError() throws Exception {
        publishTwo();
        AdapterCatalog catalog = open(NEVER);
        store.closeGate();
        CompletableFuture<AdapterFile> fetching = catalog.resolve("medical");
        CompletableFuture<AdapterFile> listing = catalog.resolve("unknown");
        catalog.close();
        assertFails(fetching, ErrorCode.ENGINE_CLOSED, "closed");
        assertFails(listing, ErrorCode.ENGINE_CLOSED, "closed");
        assertFails(catalog.resolve("medical"), ErrorCode.ENGINE_CLOSED, "closed");
        store.openGate();
        Await.until("no thread that fetches", () -> Thread.getAllStackTraces().keySet().stream()
                .noneMatch(thread -> thread.getName().equals("llamafu-adapter-fetch")));
    }
}
