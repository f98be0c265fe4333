package io.llamafu.flink.label;

import com.fasterxml.jackson.core.JsonProcessingException;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.flink.artifact.FolderListing;
import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;

import java.io.BufferedReader;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * The folder of the output, in any file system of Flink: the labelled files, and in {@code .llamafu} what it takes to go on.
 *
 * <p>The ledger of a part is complete before its rows appear, and counts as that of its rows only afterwards: it is written as
 * {@code NAME.pending}, then the rows replace those of the last run by a rename, then the ledger does so. Whenever the process
 * ends in between, all answers are in one of the two ledgers, and the rows are written again from them.
 */
record LabelStore(String output) implements Serializable {
    private static final String HIDDEN = ".llamafu";
    private static final String PENDING = ".pending";
    private static final String SUFFIX = ".ledger";

    /** Writes a file. */
    @FunctionalInterface
    interface Content {
        void write(FSDataOutputStream out) throws IOException;
    }

    private FileSystem fileSystem() throws IOException {
        return root().getFileSystem();
    }

    Path root() {
        return new Path(output);
    }

    Path hidden(String name) {
        return new Path(new Path(root(), HIDDEN), name);
    }

    Path rows(String part, LabelFormat format) {
        return new Path(root(), part + format.suffix());
    }

    Path ledger(String part) {
        return hidden("ledger/" + part + SUFFIX);
    }

    Path pendingLedger(String part) {
        return ledger(part).suffix(PENDING);
    }

    /** Whether changes of single bytes are seen by others, and survive the end of the process. */
    boolean isLocal() throws IOException {
        return !fileSystem().isDistributedFS();
    }

    /**
     * Writes a file that nobody sees yet.
     *
     * @throws LlamafuException with OUTPUT_UNAVAILABLE
     */
    Path writeTemporary(Content content) {
        Path temporary = hidden("tmp/" + UUID.randomUUID());
        try (FSDataOutputStream out = fileSystem().create(temporary, FileSystem.WriteMode.NO_OVERWRITE)) {
            content.write(out);
            out.flush();
            if (isLocal()) {
                out.sync();
            }
        } catch (IOException e) {
            throw failed("written", temporary, e);
        }
        return temporary;
    }

    /** Replaces a file as a whole. */
    void write(Path target, Content content) {
        replace(writeTemporary(content), target);
    }

    /** A file that others see while it is written, where that is possible. */
    FSDataOutputStream append(Path target) {
        try {
            return fileSystem().create(target, FileSystem.WriteMode.NO_OVERWRITE);
        } catch (IOException e) {
            throw failed("written", target, e);
        }
    }

    /** Moves a file to a place where there may be one. */
    void replace(Path source, Path target) {
        try {
            FileSystem files = fileSystem();
            files.mkdirs(target.getParent());
            // Some file systems rename only to free names. What is deleted here is in the pending ledger.
            if (!files.rename(source, target) && !(files.delete(target, false) && files.rename(source, target))) {
                throw new IOException("It cannot be renamed from " + source);
            }
        } catch (IOException e) {
            throw failed("written", target, e);
        }
    }

    /** Whether there was such a file. */
    boolean delete(Path path) {
        try {
            return fileSystem().delete(path, false);
        } catch (FileNotFoundException e) {
            return false;
        } catch (IOException e) {
            throw failed("deleted", path, e);
        }
    }

    void deleteFolder(Path path) {
        try {
            if (fileSystem().exists(path)) {
                fileSystem().delete(path, true);
            }
        } catch (IOException e) {
            throw failed("deleted", path, e);
        }
    }

    /** The bytes of a file, or -1 if there is none. */
    long length(Path path) {
        try {
            return fileSystem().getFileStatus(path).getLen();
        } catch (FileNotFoundException e) {
            return -1;
        } catch (IOException e) {
            throw failed("read", path, e);
        }
    }

    /** The complete lines of a file; none if there is no file. */
    List<String> lines(Path path, int most) {
        List<String> lines = new ArrayList<>();
        try (FSDataInputStream in = fileSystem().open(path);
                BufferedReader reader = new BufferedReader(new InputStreamReader(in, UTF_8))) {
            while (lines.size() < most) {
                String line = reader.readLine();
                if (line == null) {
                    break;
                }
                lines.add(line);
            }
        } catch (FileNotFoundException e) {
            return List.of();
        } catch (IOException e) {
            throw failed("read", path, e);
        }
        return lines;
    }

    /** A value in a file; empty if there is none, or it is not such a value. */
    static <T> Optional<T> json(Path path, LabelStore store, Class<T> type) {
        List<String> lines = store.lines(path, Integer.MAX_VALUE);
        try {
            return lines.isEmpty()
                    ? Optional.empty()
                    : Optional.of(Json.MAPPER.readValue(String.join("\n", lines), type));
        } catch (JsonProcessingException e) {
            return Optional.empty();
        }
    }

    /** All files below a folder; none if there is no folder. */
    List<FileStatus> files(Path folder) {
        List<FileStatus> files = new ArrayList<>();
        try {
            collect(folder, files);
        } catch (IOException e) {
            throw failed("listed", folder, e);
        }
        return files;
    }

    private void collect(Path folder, List<FileStatus> files) throws IOException {
        FileStatus[] listed;
        try {
            listed = FolderListing.of(fileSystem(), folder);
        } catch (FileNotFoundException e) {
            return;
        }
        for (FileStatus status : listed) {
            if (status.isDir()) {
                collect(status.getPath(), files);
            } else {
                files.add(status);
            }
        }
    }

    /** The names of the parts that have a ledger, in order. */
    List<String> parts() {
        String folder = hidden("ledger").toUri().getPath() + "/";
        return files(hidden("ledger")).stream()
                .map(status -> status.getPath().toUri().getPath())
                .filter(path -> path.endsWith(SUFFIX) && path.startsWith(folder))
                .map(path -> path.substring(folder.length(), path.length() - SUFFIX.length()))
                .sorted()
                .toList();
    }

    static LlamafuException failed(String what, Path path, IOException e) {
        return new LlamafuException(
                ErrorCode.OUTPUT_UNAVAILABLE,
                "The output '%s' cannot be %s: %s. Correct that, and run again: what was answered is kept."
                        .formatted(path, what, e.getMessage()),
                e);
    }
}
