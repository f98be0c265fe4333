package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.testing.Catalogs;
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
import java.util.List;
import java.util.Map;
import java.util.Optional;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class LocalAdaptersTest implements AdapterSourceContract {
    @TempDir
    Path parent;

    private Path folder;

    @BeforeEach
    void createFolder() throws IOException {
        folder = Files.createDirectory(parent.resolve("adapters"));
    }

    @Override
    public AdapterSource source() {
        return LocalAdapters.of(folder);
    }

    @Override
    public void publish(String file, byte[] content) throws IOException {
        Path part = Files.write(folder.resolve(".part"), content);
        Files.move(part, folder.resolve(file), StandardCopyOption.ATOMIC_MOVE);
    }

    @Override
    public void remove(String file) throws IOException {
        Files.delete(folder.resolve(file));
    }

    private AdapterFile resolve(String name) {
        return Catalogs.resolve(catalog(), name);
    }

    private static void assertCode(Runnable action, ErrorCode code, String message) {
        assertThatThrownBy(action::run)
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(code))
                .hasMessageContaining(message);
    }

    @Test
    @Timeout(60)
    @EnabledOnOs({OS.LINUX, OS.MAC})
    void linkOutOfTheFolderFifoOrFolderIsRefused() throws Exception {
        publishAdapter("medical", "medical");
        Path outside = Files.copy(TinyModel.adapters().resolve("formal.gguf"), parent.resolve("outside.gguf"));
        Files.createSymbolicLink(folder.resolve("out.gguf"), outside);
        Files.createSymbolicLink(folder.resolve("within.gguf"), folder.resolve("medical.gguf"));
        Path fifo = folder.resolve("fifo.gguf");
        assertThat(new ProcessBuilder("mkfifo", fifo.toString()).start().waitFor())
                .isZero();
        Files.createDirectory(folder.resolve("folder.gguf"));

        assertCode(() -> resolve("out"), ErrorCode.ADAPTER_INVALID, "leads out of the folder");
        assertCode(() -> resolve("fifo"), ErrorCode.ADAPTER_INVALID, "is no regular file");
        assertCode(() -> resolve("folder"), ErrorCode.ADAPTER_INVALID, "is no regular file");
        assertThat(resolve("within").digest()).isEqualTo(resolve("medical").digest());
        assertThat(catalog().names()).containsExactly("medical", "within");
        for (String name : List.of("out", "folder", "fifo", "../medical", "")) {
            assertThat(source().lookUps().test(name)).as(name).isFalse();
        }
        LocalAdapters device = new LocalAdapters(Optional.empty(), Map.of("device", Path.of("/dev/zero")));
        assertCode(
                () -> Catalogs.resolve(Catalogs.of(device), "device"), ErrorCode.ADAPTER_INVALID, "is no regular file");
    }

    @Test
    @EnabledOnOs({OS.LINUX, OS.MAC})
    void cardOutOfTheFolderIsRefused() throws Exception {
        publishAdapter("medical", "medical");
        Path outside = Files.writeString(parent.resolve("outside.json"), "{}");
        Files.createSymbolicLink(folder.resolve("medical.json"), outside);

        assertCode(() -> resolve("medical"), ErrorCode.ADAPTER_INVALID, "leads out of the folder");
    }

    @Test
    void missingFolderIsRefusedAtOnce() {
        assertCode(
                () -> LocalAdapters.of(parent.resolve("absent")).open(),
                ErrorCode.INVALID_OPTION,
                "which is not a folder on this machine");
    }

    @Test
    void withoutFolderAndFilesNoNameIsKnown() {
        AdapterCatalog empty = Catalogs.of(new LocalAdapters(Optional.empty(), Map.of()));

        assertThat(empty.names()).isEmpty();
        assertCode(
                () -> Catalogs.resolve(empty, "medical"),
                ErrorCode.ADAPTER_NOT_FOUND,
                "neither the option 'adapters' nor");
        assertCode(() -> resolve("medical"), ErrorCode.ADAPTER_NOT_FOUND, "it holds no NAME.gguf file");
    }

    @Test
    void filesAreNamedOneByOneBesideTheFolder() throws Exception {
        publishAdapter("medical", "medical");
        Path other = Files.copy(TinyModel.adapters().resolve("formal.gguf"), parent.resolve("tone-of-2024.gguf"));
        Files.writeString(parent.resolve("tone-of-2024.json"), "{\"defaultScale\": 0.5}");
        LocalAdapters both = new LocalAdapters(Optional.of(folder), Map.of("tone", other));
        AdapterCatalog catalog = Catalogs.of(both);

        assertThat(catalog.names()).containsExactly("medical", "tone");
        assertThat(Catalogs.resolve(catalog, "tone").path()).hasFileName("tone-of-2024.gguf");
        assertThat(Catalogs.resolve(catalog, "tone").card().defaultScale()).isEqualTo(0.5f);
        assertThat(both.lookUps().test("tone")).isTrue();
        assertThat(both.lookUps().test("tone-of-2024")).isFalse();
        assertCode(
                () -> Catalogs.resolve(catalog, "nobody"),
                ErrorCode.ADAPTER_NOT_FOUND,
                "' and adapters.files; it has medical, tone");
    }

    @Test
    void nameOfTwoFilesIsRefused() throws Exception {
        publishAdapter("medical", "medical");
        Path other = TinyModel.adapters().resolve("formal.gguf");

        for (String name : List.of("medical", "../medical")) {
            assertCode(
                    () -> new LocalAdapters(Optional.of(folder), Map.of(name, other)).open(),
                    ErrorCode.INVALID_OPTION,
                    name.equals("medical") ? "take one of them away" : "'../medical'");
        }
    }

    @Test
    @EnabledOnOs({OS.LINUX, OS.MAC})
    void fileWrittenInPlaceIsTakenWhenItIsStill() throws Exception {
        publishAdapter("medical", "medical");
        AdapterCatalog catalog = catalog();
        AdapterFile old = Catalogs.resolve(catalog, "medical");
        overwrite("medical", "finance", Instant.now().plusSeconds(50));

        assertThat(Catalogs.resolve(catalog, "medical")).isSameAs(old);
        assertThat(catalog.isBeingOverwritten("medical")).isTrue();
        Files.setLastModifiedTime(
                folder.resolve("medical.gguf"), FileTime.from(Instant.now().minusSeconds(1)));
        assertThat(Catalogs.resolve(catalog, "medical").digest()).isNotEqualTo(old.digest());
        assertThat(catalog.isBeingOverwritten("medical")).isFalse();
    }

    @Test
    @EnabledOnOs({OS.LINUX, OS.MAC})
    void fileWrittenInPlaceWithATimeFarAheadIsTakenAtOnce() throws Exception {
        publishAdapter("medical", "medical");
        AdapterCatalog catalog = catalog();
        AdapterFile old = Catalogs.resolve(catalog, "medical");
        overwrite("medical", "finance", Instant.now().plus(Duration.ofDays(1)));

        assertThat(catalog.isBeingOverwritten("medical")).isFalse();
        assertThat(Catalogs.resolve(catalog, "medical").digest()).isNotEqualTo(old.digest());
    }

    @Test
    void lookUpsInAMissingFolderFail() {
        LocalAdapters missing = new LocalAdapters(Optional.of(folder.resolve("missing")), Map.of());

        assertThatThrownBy(missing::lookUps)
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_OPTION))
                .hasMessageContaining("missing");
    }

    @Test
    void clockThatIsSetBackDelaysNoVersion() throws Exception {
        publishAdapter("medical", "medical");
        AdapterCatalog catalog = catalog();
        AdapterFile old = Catalogs.resolve(catalog, "medical");
        publishAdapter("medical", "legal");
        Files.setLastModifiedTime(
                folder.resolve("medical.gguf"), FileTime.from(Instant.now().plus(Duration.ofHours(1))));

        assertThat(Catalogs.resolve(catalog, "medical").digest()).isNotEqualTo(old.digest());
    }

    /** In place, so readers may see it half-written. */
    private void overwrite(String name, String content, Instant time) throws IOException {
        Path file = folder.resolve(name + ".gguf");
        Files.write(file, Files.readAllBytes(TinyModel.adapters().resolve(content + ".gguf")));
        Files.setLastModifiedTime(file, FileTime.from(time));
    }

    @Test
    @EnabledOnOs({OS.LINUX, OS.MAC})
    void linkChangesAdapterAndCardAtOnce() throws Exception {
        version("v1", "medical", "{\"defaultScale\": 0.5}");
        version("v2", "finance", "{\"defaultScale\": 2}");
        Files.createDirectory(folder.resolve("v3"));
        Files.createLink(folder.resolve("v3/notes.gguf"), folder.resolve("v2/notes.gguf"));
        AdapterCatalog catalog = catalog();
        lead("v1");
        AdapterFile one = Catalogs.resolve(catalog, "notes");
        assertThat(one.card().defaultScale()).isEqualTo(0.5f);

        lead("v2");
        AdapterFile two = Catalogs.resolve(catalog, "notes");
        assertThat(two.card().defaultScale()).isEqualTo(2);
        assertThat(two.digest()).isNotEqualTo(one.digest());

        lead("v3");
        AdapterFile three = Catalogs.resolve(catalog, "notes");
        assertThat(three.card()).as("its folder has none").isEqualTo(AdapterCard.NONE);
        assertThat(three.digest()).isEqualTo(two.digest());
        assertThat(three.isUnchanged()).as("by the new path").isTrue();

        Files.writeString(folder.resolve("notes.json"), "{\"defaultScale\": 3}");
        assertThat(Catalogs.resolve(catalog, "notes").card().defaultScale())
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
}
