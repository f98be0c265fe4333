package io.llamafu.flink.artifact;

import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.net.URI;
import java.util.ArrayList;
import java.util.List;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * A version of a file in a file system of Flink. A new version has another size or another time.
 *
 * @param uri its location
 * @param byteSize bytes
 * @param modificationTime milliseconds since 1970, as precise as the file system stores it
 */
record RemoteFile(URI uri, long byteSize, long modificationTime) {
    RemoteFile {
        checkNotNull(uri, "uri is null");
    }

    private static final long SECOND_MILLIS = 1000;

    /** An operation of a file system. */
    private interface Operation<T> {
        T on(FileSystem fileSystem) throws IOException;
    }

    /**
     * The current version.
     *
     * @throws FileNotFoundException if there is no such file, or it is a folder
     * @throws IOException if the file system cannot be reached
     */
    static RemoteFile at(URI uri) throws IOException {
        FileStatus status = ask(uri, fileSystem -> fileSystem.getFileStatus(new Path(uri)));
        if (status == null) {
            throw new FileNotFoundException(uri + " does not exist");
        }
        if (status.isDir()) {
            throw new FileNotFoundException(uri + " is a folder");
        }
        return new RemoteFile(uri, status.getLen(), status.getModificationTime());
    }

    /**
     * The files of a folder, without those of its subfolders.
     *
     * @throws FileNotFoundException if there is no such folder
     * @throws IOException if the file system cannot be reached
     */
    static List<RemoteFile> list(URI folder) throws IOException {
        FileStatus[] statuses = ask(folder, fileSystem -> FolderListing.of(fileSystem, new Path(folder)));
        List<RemoteFile> files = new ArrayList<>();
        for (FileStatus status : statuses) {
            if (!status.isDir()) {
                // Under the folder's own URI, because a listing may omit the scheme or the host.
                Path path = new Path(new Path(folder), status.getPath().getName());
                files.add(new RemoteFile(path.toUri(), status.getLen(), status.getModificationTime()));
            }
        }
        return files;
    }

    /**
     * Whether two observations of a file are of the same version. One of them may be in whole seconds: the listings of
     * some stores are more precise than their status of a single file.
     */
    boolean isSameVersionAs(RemoteFile other) {
        return uri.equals(other.uri)
                && byteSize == other.byteSize
                && isSameTime(modificationTime, other.modificationTime);
    }

    private static boolean isSameTime(long one, long other) {
        boolean wholeSeconds = one % SECOND_MILLIS == 0 || other % SECOND_MILLIS == 0;
        return one == other || (wholeSeconds && one / SECOND_MILLIS == other / SECOND_MILLIS);
    }

    /** Its bytes from the beginning; the stream is seekable. */
    FSDataInputStream open() throws IOException {
        return ask(uri, fileSystem -> fileSystem.open(new Path(uri)));
    }

    /** The last component of the path. */
    String name() {
        return new Path(uri).getName();
    }

    /** Clients of object stores throw their own exceptions; callers handle only IOException. */
    private static <T> T ask(URI uri, Operation<T> operation) throws IOException {
        try {
            // Unguarded: the streams are closed here, and the guard belongs to task threads.
            return operation.on(FileSystem.getUnguardedFileSystem(uri));
        } catch (RuntimeException e) {
            throw new IOException(e.toString(), e);
        }
    }
}
