package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class AdapterCatalogTest {
    private static final Duration SECOND = Duration.ofSeconds(1);

    @TempDir
    Path parent;

    private Path folder;
    private Instant now = Instant.now();
    /** By how much the clock of the machine was set back. */
    private Duration setBack = Duration.ZERO;

    @BeforeEach
    void createFolder() throws IOException {
        folder = Files.createDirectory(parent.resolve("adapters"));
        publish("medical", "medical");
        publish("legal", "legal");
    }

    @Test
    void namesAreTheGgufFilesOfTheFolder() throws IOException {
        Files.writeString(folder.resolve("medical.json"), "{}");
        Files.writeString(folder.resolve(".hidden.gguf"), "x");
        Files.writeString(folder.resolve("with space.gguf"), "x");
        Files.createDirectory(folder.resolve("folder.gguf"));

        assertThat(catalog().names()).containsExactly("legal", "medical");
    }

    @Test
    void containsWhatItNames() throws IOException {
        AdapterCatalog catalog = catalog();
        Files.createSymbolicLink(folder.resolve("out.gguf"), Files.createTempFile("outside", ".gguf"));
        Files.createDirectory(folder.resolve("folder.gguf"));

        assertThat(catalog.contains("medical")).isTrue();
        for (String name : List.of("sports", "out", "folder", "../medical", "")) {
            assertThat(catalog.contains(name)).as(name).isFalse();
        }
        publish("sports", "finance");
        assertThat(catalog.contains("sports")).isTrue();
    }

    @Test
    void resolvesToTheContent() {
        AdapterFile file = catalog().resolve("medical");

        assertThat(file.name()).isEqualTo("medical");
        assertThat(file.digest()).matches("[0-9a-f]{64}");
        assertThat(file.byteSize()).isEqualTo(75_680);
        assertThat(file.path()).hasFileName("medical.gguf");
        assertThat(file.digest())
                .isNotEqualTo(catalog().resolve("legal").digest())
                .isEqualTo(catalog().resolve("medical").digest());
    }

    @Test
    void anUnknownNameListsTheKnownOnes() throws IOException {
        assertCode(
                () -> catalog().resolve("sports"),
                ErrorCode.ADAPTER_NOT_FOUND,
                "There is no adapter 'sports' in '%s'; it has legal, medical".formatted(folder));
        for (int index = 0; index < 20; index++) {
            publish("more-" + index, "legal");
        }
        assertCode(() -> catalog().resolve("sports"), ErrorCode.ADAPTER_NOT_FOUND, "more-15 and 12 more");
    }

    @Test
    void anUnknownNameIsFoundOnceItIsPublished() throws IOException {
        AdapterCatalog catalog = catalog();
        assertCode(() -> catalog.resolve("new"), ErrorCode.ADAPTER_NOT_FOUND, "no adapter 'new'");

        publish("new", "finance");

        assertThat(catalog.resolve("new").byteSize()).isEqualTo(75_680);
    }

    @Test
    void aRepublishedFileIsANewVersionAfterTheInterval() throws IOException {
        AdapterCatalog catalog = catalog();
        AdapterFile old = catalog.resolve("medical");

        publish("medical", "finance");

        assertThat(catalog.resolve("medical")).isSameAs(old);
        now = now.plus(SECOND);
        AdapterFile current = catalog.resolve("medical");
        assertThat(current.digest()).isNotEqualTo(old.digest());
        current.requireUnchanged();
        assertCode(old::requireUnchanged, ErrorCode.ADAPTER_NOT_FOUND, "published again");
    }

    @Test
    void anUnchangedFileIsNotReadAgain() {
        AdapterCatalog catalog = catalog();
        AdapterFile first = catalog.resolve("medical");
        now = now.plus(SECOND);

        assertThat(catalog.resolve("medical")).isSameAs(first);
    }

    @Test
    void manyThreadsSeeOneVersionAtATimeWhileItIsRepublished() throws Exception {
        AdapterCatalog catalog = new AdapterCatalog(Optional.of(folder), Map.of(), Duration.ZERO);
        Set<String> known = Set.of(
                catalog.resolve("medical").digest(), catalog.resolve("legal").digest());
        ExecutorService threads = Executors.newFixedThreadPool(4);
        try {
            List<Future<Boolean>> readers = new ArrayList<>();
            for (int thread = 0; thread < 4; thread++) {
                readers.add(threads.submit(() -> {
                    boolean allKnown = true;
                    for (int count = 0; count < 200; count++) {
                        allKnown &= known.contains(catalog.resolve("medical").digest());
                    }
                    return allKnown;
                }));
            }
            for (int count = 0; count < 100; count++) {
                publish("medical", count % 2 == 0 ? "legal" : "medical");
                Thread.sleep(10); // a reader whose file changes during each of its attempts gives up
            }
            for (Future<Boolean> reader : readers) {
                assertThat(reader.get()).isTrue();
            }
        } finally {
            threads.shutdownNow();
        }
    }

    @Test
    void aClockThatIsSetBackDelaysNoVersion() throws IOException {
        AdapterCatalog catalog = catalog();
        AdapterFile old = catalog.resolve("medical");
        publish("medical", "legal");
        setBack = Duration.ofHours(1);
        now = now.plus(SECOND);

        assertThat(catalog.known("medical")).isEmpty();
        assertThat(catalog.resolve("medical").digest()).isNotEqualTo(old.digest());
    }

    @Test
    void aRemovedFileIsNotFoundAfterTheInterval() throws IOException {
        AdapterCatalog catalog = catalog();
        catalog.resolve("medical");
        Files.delete(folder.resolve("medical.gguf"));
        now = now.plus(SECOND);

        assertCode(() -> catalog.resolve("medical"), ErrorCode.ADAPTER_NOT_FOUND, "it has legal");
    }

    @Test
    @EnabledOnOs({OS.LINUX, OS.MAC})
    void aFileWrittenInPlaceIsTakenWhenItIsStill() throws IOException {
        AdapterCatalog catalog = catalog();
        AdapterFile old = catalog.resolve("medical");
        now = now.plus(SECOND);
        overwrite("medical", "finance", now);

        assertThat(catalog.resolve("medical")).isSameAs(old);
        assertThat(catalog.isBeingOverwritten("medical")).isTrue();
        now = now.plus(SECOND);
        assertThat(catalog.isBeingOverwritten("medical")).isFalse();
        assertThat(catalog.resolve("medical").digest()).isNotEqualTo(old.digest());
    }

    @Test
    @EnabledOnOs({OS.LINUX, OS.MAC})
    void aFileWrittenInPlaceWithATimeFarAheadIsTakenAtOnce() throws IOException {
        AdapterCatalog catalog = catalog();
        AdapterFile old = catalog.resolve("medical");
        now = now.plus(SECOND);
        overwrite("medical", "finance", now.plus(Duration.ofDays(1)));

        assertThat(catalog.isBeingOverwritten("medical")).isFalse();
        assertThat(catalog.resolve("medical").digest()).isNotEqualTo(old.digest());
    }

    @Test
    void aNameIsNoPath() {
        for (String name : List.of("../medical", "/etc/passwd", "", "a/b", ".hidden", "a\0b", "x".repeat(129))) {
            assertCode(() -> catalog().resolve(name), ErrorCode.INVALID_REQUEST, "is no adapter name");
        }
    }

    @Test
    @EnabledOnOs({OS.LINUX, OS.MAC})
    void aLinkOutOfTheFolderIsRefused() throws IOException {
        Path outside = Files.copy(TinyModel.adapters().resolve("formal.gguf"), parent.resolve("outside.gguf"));
        Files.createSymbolicLink(folder.resolve("out.gguf"), outside);
        Files.createSymbolicLink(folder.resolve("within.gguf"), folder.resolve("medical.gguf"));
        AdapterCatalog catalog = catalog();

        assertCode(() -> catalog.resolve("out"), ErrorCode.ADAPTER_INVALID, "leads out of the folder");
        assertThat(catalog.resolve("within").digest())
                .isEqualTo(catalog.resolve("medical").digest());
        assertThat(catalog.names()).containsExactly("legal", "medical", "within");
    }

    @Test
    @Timeout(10)
    @EnabledOnOs({OS.LINUX, OS.MAC})
    void aFifoOrAFolderIsRefused() throws Exception {
        Path fifo = folder.resolve("fifo.gguf");
        assertThat(new ProcessBuilder("mkfifo", fifo.toString()).start().waitFor())
                .isZero();
        Files.createDirectory(folder.resolve("folder.gguf"));

        assertCode(() -> catalog().resolve("fifo"), ErrorCode.ADAPTER_INVALID, "is no regular file");
        assertCode(() -> catalog().resolve("folder"), ErrorCode.ADAPTER_INVALID, "is no regular file");
        assertCode(
                () -> new AdapterCatalog(Optional.empty(), Map.of("device", Path.of("/dev/zero")), SECOND)
                        .resolve("device"),
                ErrorCode.ADAPTER_INVALID,
                "is no regular file");
    }

    @Test
    void aMissingFolderIsRefusedAtOnce() {
        assertCode(
                () -> new AdapterCatalog(parent.resolve("absent")),
                ErrorCode.INVALID_OPTION,
                "which is no folder on this machine");
    }

    @Test
    void withoutFolderAndFilesNoNameIsKnown() {
        AdapterCatalog empty = new AdapterCatalog(Optional.empty(), Map.of(), SECOND);

        assertThat(empty.names()).isEmpty();
        assertCode(() -> empty.resolve("medical"), ErrorCode.ADAPTER_NOT_FOUND, "neither the option 'adapters' nor");
    }

    @Test
    void filesAreNamedOneByOneBesideTheFolder() throws IOException {
        Path other = Files.copy(TinyModel.adapters().resolve("formal.gguf"), parent.resolve("tone-of-2024.gguf"));
        Files.writeString(parent.resolve("tone-of-2024.json"), "{\"defaultScale\": 0.5}");
        AdapterCatalog catalog = catalog(Map.of("tone", other));

        assertThat(catalog.names()).containsExactly("legal", "medical", "tone");
        assertThat(catalog.resolve("tone").path()).hasFileName("tone-of-2024.gguf");
        assertThat(catalog.resolve("tone").card().defaultScale()).isEqualTo(0.5f);
        assertThat(catalog.contains("tone")).isTrue();
        assertThat(catalog.contains("tone-of-2024")).isFalse();
        assertCode(() -> catalog.resolve("nobody"), ErrorCode.ADAPTER_NOT_FOUND, "it has legal, medical, tone");
    }

    @Test
    void aNameOfTwoFilesIsRefused() {
        Path other = TinyModel.adapters().resolve("formal.gguf");

        assertCode(() -> catalog(Map.of("medical", other)), ErrorCode.INVALID_OPTION, "take one of them away");
        assertCode(() -> catalog(Map.of("../medical", other)), ErrorCode.INVALID_OPTION, "'../medical'");
    }

    @Test
    void theCardIsReadWithTheAdapter() throws IOException {
        Files.writeString(
                folder.resolve("medical.json"),
                "{\"description\": \"Labels notes\", \"defaultScale\": 0.8, \"tags\": [\"domain\", \"en\"]}");

        assertThat(catalog().resolve("medical").card())
                .isEqualTo(new AdapterCard("Labels notes", 0.8f, List.of("domain", "en")));
        assertThat(catalog().resolve("legal").card()).isEqualTo(AdapterCard.NONE);
        assertThat(catalog().card("medical").description()).isEqualTo("Labels notes");
    }

    @Test
    @EnabledOnOs({OS.LINUX, OS.MAC})
    void aLinkChangesAdapterAndCardAtOnce() throws IOException {
        version("v1", "medical", "{\"defaultScale\": 0.5}");
        version("v2", "finance", "{\"defaultScale\": 2}");
        Files.createDirectory(folder.resolve("v3"));
        Files.createLink(folder.resolve("v3/notes.gguf"), folder.resolve("v2/notes.gguf"));
        AdapterCatalog catalog = catalog();
        lead("v1");
        AdapterFile one = catalog.resolve("notes");
        assertThat(one.card().defaultScale()).isEqualTo(0.5f);

        lead("v2");
        now = now.plus(SECOND);
        AdapterFile two = catalog.resolve("notes");
        assertThat(two.card().defaultScale()).isEqualTo(2);
        assertThat(two.digest()).isNotEqualTo(one.digest());

        lead("v3");
        now = now.plus(SECOND);
        AdapterFile three = catalog.resolve("notes");
        assertThat(three.card()).as("its folder has none").isEqualTo(AdapterCard.NONE);
        assertThat(three.digest()).isEqualTo(two.digest());
        assertThat(three.isUnchanged()).as("by the new path").isTrue();

        Files.writeString(folder.resolve("notes.json"), "{\"defaultScale\": 3}");
        now = now.plus(SECOND);
        assertThat(catalog.resolve("notes").card().defaultScale())
                .as("one beside the link comes first")
                .isEqualTo(3);
    }

    private void version(String version, String content, String card) throws IOException {
        Path own = Files.createDirectory(folder.resolve(version));
        TinyModel.publish(own, "notes", content);
        Files.writeString(own.resolve("notes.json"), card);
    }

    private void lead(String version) throws IOException {
        Path link = Files.createSymbolicLink(folder.resolve(".link"), Path.of(version, "notes.gguf"));
        Files.move(link, folder.resolve("notes.gguf"), StandardCopyOption.ATOMIC_MOVE);
    }

    @Test
    void aNewCardIsSeenAfterTheIntervalAndTheVersionStays() throws IOException {
        AdapterCatalog catalog = catalog();
        AdapterFile before = catalog.resolve("medical");
        Files.writeString(folder.resolve("medical.json"), "{\"defaultScale\": 2}");

        assertThat(catalog.resolve("medical").card()).isEqualTo(AdapterCard.NONE);
        now = now.plus(SECOND);
        AdapterFile after = catalog.resolve("medical");
        assertThat(after.card().defaultScale()).isEqualTo(2);
        assertThat(after.digest()).isEqualTo(before.digest());

        Files.delete(folder.resolve("medical.json"));
        now = now.plus(SECOND);
        assertThat(catalog.resolve("medical").card()).isEqualTo(AdapterCard.NONE);
    }

    @Test
    void aMalformedCardIsAnErrorOfItsAdapterOnly() throws IOException {
        Files.writeString(folder.resolve("medical.json"), "{\"scale\": 2}");

        assertCode(() -> catalog().resolve("medical"), ErrorCode.ADAPTER_INVALID, "unknown field 'scale'");
        assertThat(catalog().resolve("legal").name()).isEqualTo("legal");
    }

    @Test
    @EnabledOnOs({OS.LINUX, OS.MAC})
    void aCardOutOfTheFolderIsRefused() throws IOException {
        Path outside = Files.writeString(parent.resolve("outside.json"), "{}");
        Files.createSymbolicLink(folder.resolve("medical.json"), outside);

        assertCode(() -> catalog().resolve("medical"), ErrorCode.ADAPTER_INVALID, "leads out of the folder");
    }

    @Test
    void whetherAVersionStillStandsIsAskedWithoutReadingIt() throws IOException {
        AdapterCatalog catalog = catalog();
        assertThat(catalog.standing("medical")).isEmpty();
        AdapterFile version = catalog.resolve("medical");
        now = now.plus(SECOND);

        assertThat(catalog.known("medical")).isEmpty();
        assertThat(catalog.standing("medical")).contains(version);
        assertThat(catalog.known("medical")).contains(version);

        publish("medical", "finance");
        now = now.plus(SECOND);
        assertThat(catalog.standing("medical")).isEmpty();
        assertThat(catalog.lastKnown("medical")).contains(version);
        assertCode(() -> catalog.standing("nobody"), ErrorCode.ADAPTER_NOT_FOUND, "no adapter 'nobody'");
    }

    @Test
    void aVersionThatTurnedOutToBeChangedIsLookedUpAnew() throws IOException {
        AdapterCatalog catalog = catalog();
        AdapterFile version = catalog.resolve("medical");
        publish("medical", "finance");

        catalog.recheck(version);

        assertThat(catalog.resolve("medical").digest()).isNotEqualTo(version.digest());
    }

    private AdapterCatalog catalog() {
        return catalog(Map.of());
    }

    private AdapterCatalog catalog(Map<String, Path> files) {
        return new AdapterCatalog(
                new AdapterLocations(Optional.of(folder), files),
                SECOND,
                Duration.ofMillis(500),
                () -> now.minus(setBack),
                () -> Duration.between(Instant.EPOCH, now).toNanos());
    }

    private void publish(String name, String content) throws IOException {
        TinyModel.publish(folder, name, content);
    }

    /** In place, which readers may see half done. */
    private void overwrite(String name, String content, Instant time) throws IOException {
        Path file = folder.resolve(name + ".gguf");
        Files.write(file, Files.readAllBytes(TinyModel.adapters().resolve(content + ".gguf")));
        Files.setLastModifiedTime(file, FileTime.from(time));
    }

    private static void assertCode(Runnable action, ErrorCode code, String message) {
        assertThatThrownBy(action::run)
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(code))
                .hasMessageContaining(message);
    }
}
