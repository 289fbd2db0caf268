package bridge

// Codes: operating.
const (
	CodeEnvironment                Code = "environment"
	CodeJWTSecretShort             Code = "jwt_secret_short"
	CodeSigningKeyMalformed        Code = "signing_key_malformed"
	CodeSigningKeyOther            Code = "signing_key_other"
	CodeEncryptionKeyMalformed     Code = "encryption_key_malformed"
	CodeEncryptionKeyMissing       Code = "encryption_key_missing"
	CodeEncryptionKeyNotMissing    Code = "encryption_key_not_missing"
	CodeRowUnreadable              Code = "row_unreadable"
	CodeRowsUnreadable             Code = "rows_unreadable"
	CodePublicURLMissing           Code = "public_url_missing"
	CodeSMTPURL                    Code = "smtp_url"
	CodeTLS                        Code = "tls"
	CodeListen                     Code = "listen"
	CodeCacheSize                  Code = "cache_size"
	CodeDatabaseURL                Code = "database_url"
	CodeDatabaseUnreachable        Code = "database_unreachable"
	CodeDatabaseBusy               Code = "database_busy"
	CodeDatabaseFull               Code = "database_full"
	CodeDatabaseReadOnly           Code = "database_read_only"
	CodeDatabaseDamaged            Code = "database_damaged"
	CodeDatabaseFailing            Code = "database_failing"
	CodeDatabaseOutOfMemory        Code = "database_out_of_memory"
	CodeDatabaseTooManyConnections Code = "database_too_many_connections"
	CodeDatabaseRefused            Code = "database_refused"
	CodeDatabaseInUse              Code = "database_in_use"
	CodeDatabaseMissing            Code = "database_missing"
	CodeDatabaseNewer              Code = "database_newer"
	CodeDatabaseOther              Code = "database_other"
	CodeDatabaseOfCloud            Code = "database_of_cloud"
	CodeDatabaseBehind             Code = "database_behind"
	CodeGenerationUnreadable       Code = "generation_unreadable"
	CodeStateUnreadable            Code = "state_unreadable"
	CodeClockBehind                Code = "clock_behind"
	CodeClockNotBehind             Code = "clock_not_behind"
	CodeAuditDamaged               Code = "audit_damaged"
	CodeUnitForeign                Code = "unit_foreign"
	CodeUnitPath                   Code = "unit_path"
	CodeUnitVariables              Code = "unit_variables"
	CodeSystemd                    Code = "systemd"
)

var operateCodes = []meaning{
	{CodeEnvironment, []Kind{Invalid}, final, "An environment variable is missing or wrong; the detail lists them all."},
	{CodeJWTSecretShort, []Kind{Invalid}, final, "ACE_JWT_SECRET is too short."},
	{CodeSigningKeyMalformed, []Kind{Invalid}, final, "ACE_CLOUD_SIGNING_KEY is malformed."},
	{CodeSigningKeyOther, []Kind{Unavailable}, final,
		"ACE_CLOUD_SIGNING_KEY holds another key under a number that was used before."},
	{CodeEncryptionKeyMalformed, []Kind{Invalid}, final, "A value of ACE_DATABASE_ENCRYPTION_KEY is not a Fernet key."},
	{CodeEncryptionKeyMissing, []Kind{Unavailable}, final,
		"ACE_DATABASE_ENCRYPTION_KEY lacks a key that rows of the database need."},
	{CodeEncryptionKeyNotMissing, []Kind{NotFound}, final, "No row needs a missing encryption key with that ID."},
	{CodeRowUnreadable, []Kind{Internal, Conflict}, final, "A stored secret is damaged and cannot be decrypted."},
	{CodeRowsUnreadable, []Kind{Conflict}, final, "Some rows could not be re-encrypted."},
	{CodePublicURLMissing, []Kind{Invalid}, final, "The server does not know its own URL."},
	{CodeSMTPURL, []Kind{Invalid}, final, "ACE_SMTP_URL is malformed or incomplete."},
	{CodeTLS, []Kind{Invalid}, final, "The TLS certificate or key cannot be read."},
	{CodeListen, []Kind{Internal}, final, "The address to listen on is not free or not allowed."},
	{CodeCacheSize, []Kind{Invalid}, final, "The cache of a guard needs a size above zero."},
	{CodeDatabaseURL, []Kind{Invalid}, final, "ACE_DATABASE_URL is not a database URL."},
	{CodeDatabaseUnreachable, []Kind{Unavailable}, again, "The database does not answer."},
	{CodeDatabaseBusy, []Kind{Unavailable}, again, "Something else has held the lock of the database for too long."},
	{CodeDatabaseFull, []Kind{Unavailable}, again, "The disk of the database is full."},
	{CodeDatabaseReadOnly, []Kind{Unavailable}, again, "The database is read-only."},
	{CodeDatabaseDamaged, []Kind{Unavailable}, final, "The database is damaged."},
	{CodeDatabaseFailing, []Kind{Unavailable}, again, "The disk or file of the database reports errors."},
	{CodeDatabaseOutOfMemory, []Kind{Unavailable}, again, "The database is out of memory."},
	{CodeDatabaseTooManyConnections, []Kind{Unavailable}, again, "All connections to the database are in use."},
	{CodeDatabaseRefused, []Kind{Unavailable}, again, "The database refuses the user of ACE_DATABASE_URL."},
	{CodeDatabaseInUse, []Kind{Unavailable}, again, "Another process uses the database."},
	{CodeDatabaseMissing, []Kind{Unavailable}, final, "The database is missing or empty, although it was used before."},
	{CodeDatabaseNewer, []Kind{Unavailable}, final, "The database was written by a newer version of the program."},
	{CodeDatabaseOther, []Kind{Unavailable}, final, "The database is not the one that was used here before."},
	{CodeDatabaseOfCloud, []Kind{Unavailable}, final, "The database is a cloud's, and a server needs its own."},
	{CodeDatabaseBehind, []Kind{Unavailable}, final,
		"The database has lost changes, perhaps revocations: it was restored from a backup."},
	{CodeGenerationUnreadable, []Kind{Unavailable}, final,
		"The file that counts the changes is damaged, so nobody knows whether the database is behind."},
	{CodeStateUnreadable, []Kind{Unavailable}, final, "The file that says which database was used here cannot be read."},
	{CodeClockBehind, []Kind{Unavailable}, again, "The machine's clock is behind the newest time seen."},
	{CodeClockNotBehind, []Kind{Conflict}, final, "The clock is not behind, so there is nothing to accept."},
	{CodeAuditDamaged, []Kind{Internal}, final, "An entry of the audit log cannot be read."},
	{CodeUnitForeign, []Kind{Conflict}, final, "A systemd unit of that name was made by somebody else, and is not touched."},
	{CodeUnitPath, []Kind{Invalid}, final, "A systemd unit cannot use this path, or the server could not read it from there."},
	{CodeUnitVariables, []Kind{Conflict}, final, "The installed unit has variables that the new one would lose."},
	{CodeSystemd, []Kind{Internal}, final, "Systemd did not do what the command asked of it; the detail says why."},
}
