PRAGMA application_id=1836019570;
PRAGMA user_version=1;
CREATE TABLE revision (
  rv        INTEGER PRIMARY KEY,      -- the resource version
  uid       TEXT    NOT NULL,
  gvk       TEXT    NOT NULL,         -- v1/Pod, apps/v1/Deployment
  namespace TEXT    NOT NULL,         -- empty: not namespaced
  name      TEXT    NOT NULL,
  prev      INTEGER,                  -- the revision this one follows; NULL: the object was new
  deleted   INTEGER NOT NULL,         -- 1: json is the last state, rv the deletion's
  sealed    INTEGER NOT NULL,         -- 1: json is encrypted (kinds with secret fields)
  digest    TEXT    NOT NULL,         -- of json as stored; a flipped bit does not go unseen
  time      INTEGER NOT NULL,         -- microseconds since 1970, UTC
  cause     INTEGER,                  -- seq of the audit row; NULL for Events
  source    TEXT    NOT NULL,         -- namespace/name of the GitRepository; empty: moored's own
  unit      TEXT    NOT NULL,         -- namespace/name of the Kustomization
  commit_id TEXT    NOT NULL,         -- branch@sha1:<40 hex>
  file      TEXT    NOT NULL,
  line      INTEGER NOT NULL,
  json      BLOB    NOT NULL          -- the object in canonical JSON; last, so that a scan of the
                                      -- other columns does not read it
) STRICT;
CREATE INDEX revision_of_object ON revision (gvk, namespace, name, rv);
CREATE TABLE head (
  gvk       TEXT    NOT NULL,
  namespace TEXT    NOT NULL,
  name      TEXT    NOT NULL,
  rv        INTEGER NOT NULL REFERENCES revision (rv),
  PRIMARY KEY (gvk, namespace, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE audit (
  seq            INTEGER PRIMARY KEY, -- without gaps
  hash_version   INTEGER NOT NULL,    -- 1: the rule above
  prev_hash      TEXT    NOT NULL,
  canonical_json TEXT    NOT NULL,
  hash           TEXT    NOT NULL
) STRICT;
CREATE TABLE audit_subject (
  subject TEXT    NOT NULL,           -- Kind/namespace/name, or branch@sha1:<40 hex>
  seq     INTEGER NOT NULL REFERENCES audit (seq),
  PRIMARY KEY (subject, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE receipt (
  sha      TEXT    NOT NULL,          -- 40 hex digits
  step     TEXT    NOT NULL,          -- seen, fetched, …, ready, failed
  revision TEXT    NOT NULL,          -- branch@sha1:<40 hex>
  time     INTEGER NOT NULL,          -- microseconds since 1970, UTC
  detail   TEXT    NOT NULL,
  PRIMARY KEY (sha, step)
) STRICT, WITHOUT ROWID;
CREATE TABLE drift (
  id           TEXT    PRIMARY KEY,
  object       TEXT    NOT NULL,
  uid          TEXT    NOT NULL,
  field        TEXT    NOT NULL,
  desired      TEXT    NOT NULL,
  observed     TEXT    NOT NULL,
  actor        TEXT    NOT NULL,
  onset        INTEGER NOT NULL,      -- microseconds since 1970, UTC
  correction   TEXT    NOT NULL,      -- empty: still open
  corrected_at INTEGER
) STRICT;
CREATE INDEX drift_by_onset ON drift (onset);
CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO revision VALUES (1,'f63d0601-6b9e-821b-9c89-31292e36f762','v1/Secret','default','pass',NULL,0,1,'2763de628aadcc65666f191d70fcd905',1700000000000000,1,'','','','',0,X'576C3452271902D34D784A32B8F1B64361FA3ABF92A280C2F1A52D9CF38DD8A045F3203CBB62B0D8E3F60BF6B2E5A2B821DD53175308EE251E940ED6854A9041F784F0EB915441FD01F4538C2861C54321171A02803BB9BBCB50FADCA9A8B250C7CB7767623FED49CE31614D0189AEA97B39785F238B7C6D21D0AACA8A0AB419E7F6683774A79ACB68642FAA14289E16CC2F719E3E1459B7DDFA9030B9339C55F5E76340C509737A4E8F35A6C775ED1544FC2F6AB26FCA2C6C9968A8D741FCCC57B5F30A6C85FA7B1AF1B2736363C422ADD305F415B43E09302DF79FBB3455E22003C528C0E422FDF7110C5B3149C8CD8A133F41E8267A9A97D69782EF339711B0');
INSERT INTO revision VALUES (2,'fd16defc-4889-8f25-9049-a4fd9e8aaf0d','apps/v1/Deployment','default','web',NULL,0,0,'687e85dc0c43c53d92532d9b3f5c8eff',1700000001000000,2,'','','','',0,X'7B2261706956657273696F6E223A22617070732F7631222C226B696E64223A224465706C6F796D656E74222C226D65746164617461223A7B226E616D65223A22776562222C226E616D657370616365223A2264656661756C74222C22756964223A2266643136646566632D343838392D386632352D393034392D613466643965386161663064222C227265736F7572636556657273696F6E223A2232222C2267656E65726174696F6E223A312C226372656174696F6E54696D657374616D70223A22323032332D31312D31345432323A31333A32315A227D2C2273706563223A7B227265706C69636173223A312C2273656C6563746F72223A7B226D617463684C6162656C73223A7B22617070223A22776562227D7D2C2274656D706C617465223A7B226D65746164617461223A7B226C6162656C73223A7B22617070223A22776562227D7D2C2273706563223A7B22636F6E7461696E657273223A5B7B226E616D65223A226D61696E222C22696D616765223A2272656769737472792E6578616D706C652F6170703A31227D5D7D7D7D7D');
INSERT INTO revision VALUES (3,'fd16defc-4889-8f25-9049-a4fd9e8aaf0d','apps/v1/Deployment','default','web',2,0,0,'adab449b8ba9356a14f7e8ad45d7b3aa',1700000002000000,3,'','','','',0,X'7B2261706956657273696F6E223A22617070732F7631222C226B696E64223A224465706C6F796D656E74222C226D65746164617461223A7B226E616D65223A22776562222C226E616D657370616365223A2264656661756C74222C22756964223A2266643136646566632D343838392D386632352D393034392D613466643965386161663064222C227265736F7572636556657273696F6E223A2233222C2267656E65726174696F6E223A322C226372656174696F6E54696D657374616D70223A22323032332D31312D31345432323A31333A32315A227D2C2273706563223A7B227265706C69636173223A332C2273656C6563746F72223A7B226D617463684C6162656C73223A7B22617070223A22776562227D7D2C2274656D706C617465223A7B226D65746164617461223A7B226C6162656C73223A7B22617070223A22776562227D7D2C2273706563223A7B22636F6E7461696E657273223A5B7B226E616D65223A226D61696E222C22696D616765223A2272656769737472792E6578616D706C652F6170703A31227D5D7D7D7D7D');
INSERT INTO head VALUES ('apps/v1/Deployment','default','web',3);
INSERT INTO head VALUES ('v1/Secret','default','pass',1);
INSERT INTO audit VALUES (1,1,'0000000000000000000000000000000000000000000000000000000000000000','{"time":"2023-11-14T22:13:20.000000Z","actor":"controller","name":"tester","reason":"because","result":"recorded","changes":[{"resourceVersion":1,"verb":"created","object":"Secret/default/pass","uid":"f63d0601-6b9e-821b-9c89-31292e36f762","why":"test","digest":"4eb2223247c1bb27"}]}','eb15806edc1f9a483b4cbd7f1f2db6dbd2845d46d837e2cf1e058302459cc12a');
INSERT INTO audit VALUES (2,1,'eb15806edc1f9a483b4cbd7f1f2db6dbd2845d46d837e2cf1e058302459cc12a','{"time":"2023-11-14T22:13:21.000000Z","actor":"controller","name":"tester","reason":"because","result":"recorded","changes":[{"resourceVersion":2,"verb":"created","object":"Deployment/default/web","uid":"fd16defc-4889-8f25-9049-a4fd9e8aaf0d","why":"test","digest":"687e85dc0c43c53d92532d9b3f5c8eff"}]}','645d3ee9b03767029de3ba6289c1a702b0263ecc88c33cf1160eede44e11f2bc');
INSERT INTO audit VALUES (3,1,'645d3ee9b03767029de3ba6289c1a702b0263ecc88c33cf1160eede44e11f2bc','{"time":"2023-11-14T22:13:22.000000Z","actor":"controller","name":"tester","reason":"because","result":"recorded","changes":[{"resourceVersion":3,"verb":"updated","object":"Deployment/default/web","uid":"fd16defc-4889-8f25-9049-a4fd9e8aaf0d","why":"test","digest":"adab449b8ba9356a14f7e8ad45d7b3aa","fields":[{"path":"spec.replicas","before":"1","after":"3"}]}]}','d7a6cb9587d661f7cdbb29246138b5799b12e96794676386034034b4c3c34f69');
INSERT INTO audit VALUES (4,1,'d7a6cb9587d661f7cdbb29246138b5799b12e96794676386034034b4c3c34f69','{"time":"2023-11-14T22:13:23.000000Z","actor":"controller","name":"tester","reason":"because","result":"recorded","drift":[{"id":"d1","object":"Deployment/default/web","field":"process","desired":"running","observed":"killed","actor":"","onset":"2023-11-14T22:13:23.000000Z","correction":""}]}','f02da8b2343a4a77f7f432e6913d02ec840fd7562da50e769ae1acc742acb241');
INSERT INTO audit_subject VALUES ('Deployment/default/web',2);
INSERT INTO audit_subject VALUES ('Deployment/default/web',3);
INSERT INTO audit_subject VALUES ('Deployment/default/web',4);
INSERT INTO audit_subject VALUES ('Secret/default/pass',1);
INSERT INTO receipt VALUES ('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','ready','main@sha1:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1700000003000000,'well');
INSERT INTO drift VALUES ('d1','apps/v1/Deployment
default
web','','process','running','killed','',1700000003000000,'',NULL);
INSERT INTO meta VALUES ('audit_hash','f02da8b2343a4a77f7f432e6913d02ec840fd7562da50e769ae1acc742acb241');
INSERT INTO meta VALUES ('audit_seq','4');
INSERT INTO meta VALUES ('key_digest','29a8689b3de183e4');
INSERT INTO meta VALUES ('resource_version','3');
INSERT INTO meta VALUES ('store_id','0123456789ab');
