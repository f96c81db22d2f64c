package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Backup writes a consistent copy of the file to path, where there must be none,
// and syncs it. The store goes on working meanwhile; what it stores after the
// start is not in the copy.
func (s *Store) Backup(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("sqlitequeue: backup: %s exists already", path)
	}
	// query_only would refuse it, and it may take long: so on a connection of its own.
	err := s.read(ctx, func(*conn) error {
		c, err := dial(s.path, "")
		if err != nil {
			return err
		}
		defer c.close()
		return c.query(ctx, func([]driver.Value) error { return nil }, "VACUUM INTO ?", path)
	})
	if err == nil {
		err = errors.Join(syncFile(path), syncFile(filepath.Dir(path)))
	}
	if err != nil {
		return fmt.Errorf("sqlitequeue: backup to %s: %w", path, err)
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
