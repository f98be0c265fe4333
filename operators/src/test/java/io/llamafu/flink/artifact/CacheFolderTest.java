package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

class CacheFolderTest {
    private static final int SHARED = 0777;
    private static final int SHARED_AND_STICKY = 01777;
    private static final int PRIVATE = 0700;

    @TempDir
    private Path temporary;

    private Path folder(String path, int mode) throws IOException {
        Path folder = Files.createDirectories(temporary.resolve(path));
        Files.setAttribute(folder, "unix:mode", mode);
        return folder;
    }

    private static void assertRefused(Path folder, String... messages) {
        assertThatThrownBy(() -> CacheFolder.at(folder).prepare())
                .hasMessageContainingAll(messages)
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_OPTION));
    }

    @Test
    void isCreatedForItsUserOnly() throws Exception {
        Path folder = CacheFolder.at(temporary.resolve("new/cache")).prepare();

        assertThat(folder)
                .isEqualTo(temporary.resolve("new/cache").toRealPath())
                .isEmptyDirectory();
        assertThat(Files.getPosixFilePermissions(folder)).isEqualTo(PosixFilePermissions.fromString("rwx------"));
    }

    @Test
    void folderOrParentThatOthersMayWriteToIsRefused() throws Exception {
        Path shared = folder("shared", SHARED);
        Path below = folder("shared/own/cache", PRIVATE);

        assertRefused(shared, "cache.dir is '" + shared, "everybody may write to '" + shared + "'");
        assertRefused(below, "cache.dir is '" + below, "everybody may write to '" + shared + "'");
        assertRefused(shared.resolve("missing"), "everybody may write to '" + shared + "'");
        Path sticky = folder("sticky", SHARED_AND_STICKY);
        assertRefused(sticky, "everybody may write to '" + sticky + "'");
        assertThat(CacheFolder.at(folder("sticky/cache", PRIVATE)).prepare())
                .as("others cannot replace it")
                .exists();
    }

    @Test
    void linksAreFollowedOnTheWay() throws Exception {
        Path shared = folder("shared", SHARED);
        Path hidden = folder("shared/cache", PRIVATE);
        Path cache = folder("private/cache", PRIVATE);
        Path own = folder("own", PRIVATE);

        Path out = Files.createSymbolicLink(own.resolve("out"), hidden);
        assertRefused(out, "everybody may write to '" + shared + "'");
        Path through = Files.createSymbolicLink(shared.resolve("link"), cache);
        assertRefused(through, "everybody may write to '" + shared + "'");
        Path chain = Files.createSymbolicLink(own.resolve("chain"), through);
        assertRefused(chain, "everybody may write to '" + shared + "'");
        Path good = Files.createSymbolicLink(own.resolve("good"), cache);
        assertThat(CacheFolder.at(good).prepare()).isEqualTo(cache.toRealPath());
    }

    @Test
    void folderOfAnotherUserIsRefused() throws Exception {
        Path folder = folder("cache", PRIVATE);
        assumeTrue((int) Files.getAttribute(folder, "unix:uid") == 0, "only root can give files away");
        Files.setAttribute(folder, "unix:uid", 12_345);

        assertRefused(folder, "'" + folder + "' belongs to another user");
        assertRefused(folder.resolve("below"), "'" + folder + "' belongs to another user");
    }

    @Test
    void defaultInAFolderOfOursIsLlamafuCache() throws Exception {
        Path own = folder("own", PRIVATE);

        assertThat(CacheFolder.in(own).prepare()).isEqualTo(own.resolve("llamafu-cache"));
    }

    @Test
    void defaultInASharedFolderCannotBeForeseenAndIsFoundAgain() throws Exception {
        Path shared = folder("shared", SHARED_AND_STICKY);
        Path foreign = folder("shared/llamafu-cache", 0755);

        Path ours = CacheFolder.in(shared).prepare();
        assertThat(ours.getParent()).isEqualTo(shared);
        assertThat(ours.getFileName().toString()).matches("llamafu-cache-\\d{6,}");
        assertThat(Files.getPosixFilePermissions(ours)).isEqualTo(PosixFilePermissions.fromString("rwx------"));
        assertThat(CacheFolder.in(shared).prepare()).as("the same again").isEqualTo(ours);
        assertThat(shared).as("nothing else is left").isDirectoryContaining(path -> path.equals(foreign));
        assertThat(shared.toFile().list()).hasSize(2);
    }

    @Test
    void cacheFromBeforeIsUsedAgainInASharedFolder() throws Exception {
        Path shared = folder("shared", SHARED_AND_STICKY);
        Path before = folder("shared/llamafu-cache", PRIVATE);

        assertThat(CacheFolder.in(shared).prepare()).isEqualTo(before);
    }
}
